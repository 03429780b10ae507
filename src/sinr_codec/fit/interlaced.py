"""Training of the network that predicts interlaced samples: the length of their code is the loss.

The samples follow from the signal and the steps of the field; only the network is trained, on the inputs that a decoder
will see. Then its weights are rounded, each tensor as coarsely as makes the file smallest.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import leaky_relu

from sinr_codec.coding.interlaced import LARGEST, Inputs, Predictor, passes, taps
from sinr_codec.coding.weights import bytes_of
from sinr_codec.errors import InputError
from sinr_codec.fields.base import Trainable
from sinr_codec.fields.interlaced import SAMPLES, Interlaced
from sinr_codec.fit.config import FitConfig, FitResult
from sinr_codec.fit.run import Run
from sinr_codec.fit.samples import grid_values
from sinr_codec.fit.threads import threads_for
from sinr_codec.progress import Listener
from sinr_codec.signals.base import Part
from sinr_codec.types import Floats, Ints

#: Samples of a batch, and the most that are kept to train on: their inputs take about 250 bytes each.
BATCH: Final = 8192
KEPT: Final = 1 << 19
#: The learning rate of Adam at the beginning; a cosine decay leads to 0.
RATE: Final = 4e-3
#: Samples on which roundings of the network are compared.
COMPARED: Final = 1 << 16
#: Fractional bits of the integers of each tensor, and the coarsest exponent of their units that is tried.
FRACTIONS: Final = {"linear": 12}
USUAL_FRACTION: Final = 8
MOST_EXPONENT: Final = 7
#: Logarithms of scales are kept in this range.
SCALES_RANGE: Final = (-5.0, 30.0)


def fit_interlaced(
    field: Trainable,
    signal: Part,
    config: FitConfig,
    params: Mapping[str, NDArray[Any]] | None = None,
    progress: Listener | None = None,
) -> FitResult:
    """Quantise a signal to the steps of an `Interlaced` field, and train its network; arguments and errors as in `fit`.

    Raises
    ------
    InputError
        Steps so small that integers would not fit.
    """
    training = _Training(cast(Interlaced, field), signal, config, progress)
    with threads_for(training.work * BATCH), training.run:
        training.run.complete(training.train)
        result = training.result()
    training.run.finish(config.keep_checkpoint)
    return result


class _Training:
    """The integers, what they are predicted from, and the network."""

    def __init__(self, field: Interlaced, signal: Part, config: FitConfig, listener: Listener | None) -> None:
        self.field, self.config = field, config
        self.taps = len(taps(field.in_features, 0, field.near, field.far))
        self.rng = np.random.default_rng(config.seed)
        self.values = grid_values(signal, field.sizes)
        exact = (np.moveaxis(self.values, -1, 0).astype(np.float64).T - field.origins) / field.steps
        integers = np.rint(exact.T)
        if np.abs(integers).max(initial=0) > LARGEST:
            raise InputError("max_error: so small that samples would not fit 31 bits; allow more")
        self.loss = float(np.mean(((exact.T - integers).T * field.steps) ** 2))
        self.integers = integers.astype(np.int32)
        self.examples = self._examples()
        self.network = {
            name: torch.tensor(first).float().requires_grad_() for name, first in self._first_network().items()
        }
        self.adam = torch.optim.Adam(list(self.network.values()), lr=RATE)
        self.recent = math.inf
        self.run = Run(config, self, listener)
        self.run.resume()

    @property
    def work(self) -> int:
        """Multiply-adds for an integer."""
        return self.field.network_params

    def _blank(self) -> Predictor:
        """A network of zeros."""
        return self.field.predictor(self.field.init(self.rng))

    def _examples(self) -> dict[str, Tensor]:
        """Inputs and targets of some samples of all passes, in proportion to their number."""
        predictor, count = self._blank(), self.integers.size
        share = min(1.0, KEPT / max(count, 1))
        found: dict[str, list[NDArray[np.float32]]] = {}
        for each in passes(self.field.sizes, self.field.halvings):
            for number in range(self.field.out_features):
                targets, view = self.integers[number][each.new], predictor.view(each, self.integers, number)
                for part in each.chunks():
                    inputs = view(part)
                    wanted = targets[part].reshape(-1)
                    some = np.flatnonzero(self.rng.random(len(wanted)) < share) if share < 1 else np.arange(len(wanted))
                    for name, values in _example(inputs, wanted, each.group, some).items():
                        found.setdefault(name, []).append(values)
        return {name: torch.from_numpy(np.concatenate(values)) for name, values in found.items()}

    def _first_network(self) -> dict[str, Floats]:
        shapes = self.field.networks
        found = {name: np.zeros(shape) for name, shape in shapes.items()}
        for name in ("first", "second"):
            found[name] = self.rng.normal(0, 0.5 / math.sqrt(shapes[name][1]), shapes[name])
        found["third_bias"][:, 1] = -1  # residuals are smaller than differences
        return found

    # -- training

    def train(self) -> None:
        """All steps of the run."""
        count = len(self.examples.get("target", ()))
        for share in self.run:
            if not count:
                break
            for group in self.adam.param_groups:
                group["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * share))
            chosen = torch.from_numpy(self.rng.integers(0, count, min(BATCH, count)))
            bits = self._bits(self.network, {name: each[chosen] for name, each in self.examples.items()}).mean()
            self.adam.zero_grad()
            bits.backward()
            self.adam.step()
            self.run.advance()
            self.recent = float(bits.detach())
            if self.run.step % 10 == 0:
                self.run.report(self.loss)

    def _bits(self, network: Mapping[str, Tensor], examples: Mapping[str, Tensor]) -> Tensor:
        """Code length of each example: what `Predictor.predict` does, in real numbers."""
        group, count = examples["group"].long(), self.taps
        hidden = leaky_relu(examples["normal"] @ network["first"].T + network["first_bias"][group], 0.125)
        hidden = hidden + leaky_relu(hidden @ network["second"].T + network["second_bias"], 0.125)
        out = hidden @ network["third"].T + network["third_bias"][group]
        linear = (network["linear"][group] * examples["differences"]).sum(1) / 2
        error = examples["target"] - linear - out[:, 0] * examples["spread"] / (2 * count)
        scale = torch.exp2((examples["logarithm"] + out[:, 1]).clamp(*SCALES_RANGE))
        return -torch.log2(_mass(error, scale) + 2.0**-24)

    # -- the end, and checkpoints

    def result(self) -> FitResult:
        """The integers, and the network rounded."""
        network = self._rounded()
        params: dict[str, Any] = {name: w.astype(np.int32) for name, w in network.items()} | {SAMPLES: self.integers}
        return FitResult(params, self.loss, self.run.step, self.run.elapsed, self.run.interrupted, 0, False, False)

    def _rounded(self) -> dict[str, Ints]:
        """The network in its fixed-point units, each tensor as coarse as makes weights and samples smallest in all."""
        real = {name: w.detach().double().numpy() for name, w in self.network.items()}
        units = {name: 2.0 ** FRACTIONS.get(name, USUAL_FRACTION) for name in real}
        exponents = dict.fromkeys(real, 0)
        count = len(self.examples.get("target", ()))
        some = torch.from_numpy(self.rng.integers(0, count, min(COMPARED, count))) if count else torch.zeros(0).long()
        compared = {name: each[some] for name, each in self.examples.items()}

        def rounded(name: str) -> Ints:
            unit = units[name] / 2 ** exponents[name]
            most = (1 << 20) - 1
            return (np.rint(real[name] * unit).clip(-(most >> exponents[name]), most >> exponents[name])).astype(
                np.int64
            ) << exponents[name]

        def cost() -> float:
            weights = {name: rounded(name) for name in real}
            as_real = {name: torch.from_numpy(w / units[name]).float() for name, w in weights.items()}
            with torch.no_grad():
                bits = float(self._bits(as_real, compared).mean()) * self.integers.size if count else 0.0
            return bits + 8 * float(bytes_of(list(weights.values())))

        best = cost()
        for name in real:
            for exponent in range(1, MOST_EXPONENT + 1):
                before, exponents[name] = exponents[name], exponent
                if (found := cost()) < best:
                    best = found
                else:
                    exponents[name] = before
                    break
        return {name: rounded(name) for name in real}

    def identity(self) -> str:
        """See `run.Resumable`."""
        c = self.config
        return json.dumps([self.field.to_header(), c.steps, c.seconds, c.seed, zlib.crc32(self.values.tobytes())])

    def state_dict(self) -> dict[str, Any]:
        """See `run.Resumable`."""
        return {
            "state": [self.run.step, self.run.elapsed - self.run.uncounted],
            "network": dict(self.network),
            "optimizer": self.adam.state_dict(),
            "generator": json.dumps(self.rng.bit_generator.state),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `run.Resumable`."""
        self.run.step, self.run.before = state["state"]
        with torch.no_grad():
            for name, leaf in self.network.items():
                leaf.copy_(state["network"][name])
        self.adam.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = json.loads(state["generator"])


def _example(inputs: Inputs, targets: Ints, group: int, some: Ints) -> dict[str, NDArray[np.float32]]:
    """Some samples of a pass as rows: targets are relative to the mean of the nearest two."""
    return {
        "normal": (inputs.normal[:, some].T / 64).astype(np.float32),
        "differences": inputs.differences[:, some].T.astype(np.float32),
        "spread": inputs.spread[some].astype(np.float32),
        "logarithm": (inputs.logarithms[0, some] / 16).astype(np.float32),
        "target": (targets[some] - inputs.middle[some] / 2).astype(np.float32),
        "group": np.full(len(some), group, np.float32),
    }


def _mass(error: Tensor, scale: Tensor) -> Tensor:
    """Mass of a Laplace distribution within 1/2 of an error."""
    away = error.abs()
    inside = 1 - torch.exp(-0.5 / scale) * torch.cosh(away.clamp(max=0.5) / scale)
    outside = -0.5 * torch.expm1(-1 / scale) * torch.exp(-(away - 0.5).clamp(min=0) / scale)
    return torch.where(away < 0.5, inside, outside)
