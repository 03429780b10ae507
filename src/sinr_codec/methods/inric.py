"""INRIC (Strümpler et al. 2022): low-bit weights by learned rounding and retraining; meta-learned initial weights.

The trained network is coded in four stages: a symmetric grid for each tensor, learned rounding layer by layer
(AdaRound, Nagel et al. 2020), retraining with straight-through rounding, and arithmetic coding.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import brotli
import numpy as np
from numpy.typing import NDArray

from sinr_codec.bases import Base
from sinr_codec.coding.assembled import assemble
from sinr_codec.coding.quantize import round_step, symmetric
from sinr_codec.coding.tensor import Coding, Direct, Raw, is_lossy
from sinr_codec.fields import MLP, Octaves, Sine
from sinr_codec.methods.base import Coded, Task, Training
from sinr_codec.methods.coinpp import some_of
from sinr_codec.signals.base import Part
from sinr_codec.types import Params

#: Adam at 5e-4 on full images with an L1 penalty. The published schedule also halves the rate when the loss stalls.
PUBLISHED: Final = {"optimizer": "adam", "lr": 5e-4, "steps": 25_000, "batch": 1 << 40}
ENCODING: Final = Octaves(16, 1.4, True, "coordinate")
"""INRIC's positional encoding: 66 features of two coordinates (section 3.1)."""
L1: Final = 1e-5
PE: Final = Training("sine-pe-l1", Sine(30.0), ENCODING, L1, PUBLISHED)
META: Final = Training("inric-meta", Sine(30.0), published=PUBLISHED, base={"method": "inric-meta"})
META_PE: Final = Training("inric-meta-pe", Sine(30.0), ENCODING, 0.0, PUBLISHED, base={"method": "inric-meta"})
FEWER_STEPS: Final = 5
"""Divisor of the number of steps for a fit that starts from a base."""

CLIPS: Final = np.linspace(0.3, 1.0, 36)
"""Clipping ranges to try, as shares of the largest magnitude."""
ROUNDING_STEPS: Final = 1000
ROUNDING_LR: Final = 3e-2
ROUNDING_BATCH: Final = 2048
REGULARISER: Final = 1e-4
WARM_START: Final = 0.2
BETA: Final = (20.0, 2.0)
ZETA: Final = 1.1
GAMMA: Final = -0.1
"""Limits of the stretched sigmoid, which is clipped to [0, 1] so that it reaches both (AdaRound, section 3.2)."""
RETRAINING_STEPS: Final = 7200
RETRAINING_LR: Final = 1e-6
RETRAINING_BATCH: Final = 16_384
"""The published 300 epochs of full 768 x 512 images, in batches of this size."""
SHORT_STEPS: Final = 1000
SHORT_BATCH: Final = 4096
"""A shorter retraining, at full effort. Its learning rate is higher, so that weights move as far as in the published
one; at the published rate none would reach another level.
"""

Steps = dict[str, float]


@dataclass(frozen=True)
class Inric:
    """INRIC's coder with b bits: 8 as published, 7 with meta-learned initial weights.

    At a `Task.effort` below 1, learned rounding takes that share of its steps, and retraining is the short one.
    """

    bits: int = 8

    def __call__(self, task: Task) -> Coded:
        """Code a network."""
        coded = {name: w for name, w in task.params.items() if is_lossy(w)}
        steps = {name: best_step(w, self.bits) for name, w in coded.items()}
        error = task.error()
        nearest = {name: _on_grid(w, steps.get(name), self.bits) for name, w in task.params.items()}
        rounded = nearest if task.field.mlp is None else learn_rounding(task, steps, self.bits)
        trained = retrain(task, rounded, steps, self.bits)
        candidates = {"nearest": nearest, "adaround": rounded, "retrained": trained}
        errors = {name: error(params) for name, params in candidates.items()}
        # INRIC keeps the state with the least error
        best = min(errors, key=lambda name: errors[name])
        codings: dict[str, Coding] = {
            name: Direct(step=steps[name]) if name in steps else Raw() for name in task.params
        }
        plan = assemble(candidates[best], codings)
        figures = {f"{name}_db": -10 * math.log10(max(value, 1e-20)) for name, value in errors.items()}
        return Coded(plan, published_bytes(plan.params, steps, self.bits), figures | {"bits": self.bits})


# -- the grid --------------------------------------------------------------------------------------------------


def best_step(w: NDArray[Any], bits: int) -> float:
    """The step of the symmetric grid with 2^bits - 1 levels for the least squared error, including clipping."""
    top, levels = float(np.abs(w).max()), 2 ** (bits - 1) - 1
    if top == 0.0:
        return round_step(1.0)
    steps = [round_step(top * clip / levels) for clip in CLIPS]
    wide = w.astype(np.float64)
    return min(steps, key=lambda step: float(np.sum((_clipped(wide, step, bits) * step - wide) ** 2)))


def _clipped(w: NDArray[Any], step: float, bits: int) -> NDArray[np.int64]:
    levels = 2 ** (bits - 1) - 1
    return np.clip(symmetric(w, step), -levels, levels)


def _on_grid(w: NDArray[Any], step: float | None, bits: int) -> NDArray[Any]:
    return w if step is None else (_clipped(w, step, bits) * step).astype(w.dtype)


# -- learned rounding ------------------------------------------------------------------------------------------


def learn_rounding(task: Task, steps: Steps, bits: int) -> dict[str, NDArray[Any]]:
    """Choose for each weight whether to round up or down, so that the outputs of its layer change least (AdaRound).

    This is done layer by layer. The inputs of a layer are the outputs of the quantised layers before it; its targets
    are its outputs in the trained network, after the activation. Biases are rounded to the nearest level. For a
    difference to a base, the difference is rounded, and the outputs are those of the sum.
    """
    import torch
    from array_api_compat import torch as xtorch

    field = task.field.mlp
    assert field is not None
    count = max(1, round(ROUNDING_STEPS * task.effort))
    rng = np.random.default_rng(task.seed)
    chosen = np.sort(rng.choice(len(task.part), min(len(task.part), 1 << 15), replace=False))
    coords = torch.from_numpy(task.part.batch(chosen)[0]).to(task.device)
    encode = field.encoding.function(xtorch, field.in_features, torch.device(task.device))
    quantised = {name: _on_grid(w, steps.get(name), bits) for name, w in task.params.items()}

    tensors = _tensors(task.params, task.device)
    none = {name: np.zeros_like(w) for name, w in task.params.items()}
    shared = _tensors(task.field.whole(none), task.device)
    generator = torch.Generator().manual_seed(task.seed)
    layer = partial(_layer, field)

    def squared_error(i: int, x: Any, wanted: Any, step: float, base: Any, bias: Any, levels: Any) -> Any:
        rows = torch.randint(len(x), (min(len(x), ROUNDING_BATCH),), generator=generator).to(task.device)
        return ((layer(i, x[rows], levels * step + base, bias) - wanted[rows]) ** 2).sum(-1).mean()

    with torch.no_grad():
        x = wanted = encode(coords)
    for i in range(field.layers):
        name, bias_name = f"layers.{i}.weight", f"layers.{i}.bias"
        weight, step = tensors[name], steps.get(name)
        bias = torch.from_numpy(quantised[bias_name]).to(task.device) + shared[bias_name]
        with torch.no_grad():
            wanted = layer(i, wanted, weight + shared[name], tensors[bias_name] + shared[bias_name])
        if step is not None and not weight.is_complex():
            loss = partial(squared_error, i, x, wanted, step, shared[name], bias)
            levels = _learned_levels(weight / step, 2 ** (bits - 1) - 1, loss, count)
            quantised[name] = (levels * step).astype(quantised[name].dtype)
        with torch.no_grad():
            x = layer(i, x, torch.from_numpy(quantised[name]).to(task.device) + shared[name], bias)
    return quantised


def _tensors(params: Params, device: str) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(np.ascontiguousarray(w)).to(device) for name, w in params.items()}


def _layer(field: MLP, i: int, x: Any, weight: Any, bias: Any) -> Any:
    """Outputs (n, out) of a layer for its inputs (n, in), after the activation."""
    from array_api_compat import torch as xtorch

    if i == field.layers - 1:
        return x @ weight.mT + bias
    gain = field.activation.gain(i == 0)
    return field.activation(xtorch, x @ (gain * weight).mT + gain * bias)


def _learned_levels(scaled: Any, top: int, loss_of: Callable[[Any], Any], count: int) -> NDArray[np.int64]:
    """Levels in [-top, top] next to the weights `scaled`, in steps of the grid, for the least ``loss_of(levels)``.

    Whether a weight is rounded up is relaxed to h(V) in [0, 1]. A regulariser that sharpens drives it to 0 or 1.
    """
    import torch

    floor = scaled.floor()
    fraction = (scaled - floor).clamp(1e-4, 1 - 1e-4)
    v = torch.logit((fraction - GAMMA) / (ZETA - GAMMA)).requires_grad_()
    optimizer = torch.optim.Adam([v], lr=ROUNDING_LR)
    for number in range(count):
        h = (torch.sigmoid(v) * (ZETA - GAMMA) + GAMMA).clamp(0, 1)
        loss = loss_of((floor + h).clamp(-top, top))
        if (share := number / count) >= WARM_START:
            beta = _beta((share - WARM_START) / (1 - WARM_START))
            loss = loss + REGULARISER * (1 - (2 * h - 1).abs() ** beta).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        up = (torch.sigmoid(v) * (ZETA - GAMMA) + GAMMA) >= 0.5
        levels: NDArray[np.int64] = (floor + up).clamp(-top, top).cpu().numpy().astype(np.int64)
        return levels


def _beta(share: float) -> float:
    first, last = BETA
    return last + 0.5 * (first - last) * (1 + math.cos(math.pi * share))


# -- retraining ------------------------------------------------------------------------------------------------


def retrain(task: Task, start: Params, steps: Steps, bits: int) -> dict[str, NDArray[Any]]:
    """Train the weights on the signal with rounding in the forward pass (quantisation-aware training)."""
    from sinr_codec.fit import FitConfig, fit
    from sinr_codec.fit.through import Through, round_through

    top = 2 ** (bits - 1) - 1

    def weights(numbers: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: round_through(w, steps[name]).clamp(-top * steps[name], top * steps[name]) if name in steps else w
            for name, w in numbers.items()
        }

    steps_taken, batch = RETRAINING_STEPS, RETRAINING_BATCH
    if task.effort < 1:
        steps_taken, batch = max(1, round(SHORT_STEPS * task.effort)), SHORT_BATCH
    config = FitConfig(
        optimizer="adam",
        lr=RETRAINING_LR * RETRAINING_STEPS / steps_taken,
        steps=steps_taken,
        batch=batch,
        seed=task.seed,
        compile=False,
        device=task.device,
    )
    result = fit(Through(task.trainable, weights), task.part, config, dict(start))
    return {name: _on_grid(w, steps.get(name), bits) for name, w in result.params.items()}


# -- meta-learned initial weights -------------------------------------------------------------------------------


def fewer(steps: int) -> int:
    """Steps of a fit that starts from a base, given those of a fit from scratch."""
    return max(1, steps // FEWER_STEPS)


def start_of(base: Base, part: Part, device: str, steps: int | None = None) -> dict[str, NDArray[Any]]:
    """The initial difference to a base: the result of a few steps of gradient descent with its rates.

    For device and steps see `fit.meta.adapted_to`.
    """
    from sinr_codec.fit.meta import adapted_to

    found = adapted_to(base.field, base.params, base.encoding_rates, [some_of(part)], device, steps)
    return {name: value[0] - base.params[name] for name, value in found.items()}


# -- the authors' accounting -----------------------------------------------------------------------------------


def published_bytes(params: Params, steps: Steps, bits: int) -> float:
    """Size by INRIC's accounting: one static table for the symbols of all tensors, an end symbol, and the steps.

    The arithmetic code takes the entropy of its histogram. The table takes 2^bits counts of floor(log2(largest)) + 1
    bits, and 8 bits for that width. The steps are float64 numbers compressed by Brotli.
    """
    symbols = np.concatenate([symmetric(params[name].reshape(-1), step) for name, step in steps.items()])
    counts = np.append(np.unique(symbols, return_counts=True)[1], 1).astype(np.float64)
    entropy = float(-np.sum(counts * np.log2(counts / counts.sum())))
    table = 2**bits * (math.floor(math.log2(counts.max())) + 1) + 8
    return (entropy + table) / 8 + len(brotli.compress(np.array([*steps.values()]).tobytes()))
