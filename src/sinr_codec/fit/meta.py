"""Meta-learning: initial parameters from which a few steps of gradient descent fit any signal of a kind.

MAML (Finn et al. 2017) learns the initial values of all parameters, and Meta-SGD (Li et al. 2017) also a learning rate
for each parameter and step. INRIC (Strümpler et al. 2022, section 3.4) is trained in this way. CAVIA (Zintgraf et al.
2019) adapts only a few numbers and learns the network shared by all signals. COIN++ (Dupont et al. 2022, section 2.3)
is trained in this way, from latents of 0. One loop here serves both; they differ in which parameters are adapted.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

import numpy as np
import torch
from array_api_compat import torch as xtorch
from numpy.typing import NDArray
from torch import Tensor

from sinr_codec.devices import check_device
from sinr_codec.errors import InputError, quoted
from sinr_codec.fields.mlp import MLP
from sinr_codec.fields.modulated import LATENTS, Modulated
from sinr_codec.files import check_output
from sinr_codec.fit.loop import rate_at
from sinr_codec.fit.run import Run
from sinr_codec.fit.tasks import Tasks
from sinr_codec.progress import Listener

logger = logging.getLogger(__name__)

Tensors = dict[str, Tensor]
Function = Callable[[Mapping[str, Any], Any], Any]
Loss = Callable[[Tensors], Tensor]

#: Steps between checks of the running loss.
LOOK: Final = 10
#: A running loss above this multiple of the least so far is a collapse. Second-order learning does not recover from it.
COLLAPSE: Final = 3.0
#: A state with a running loss up to this multiple of the least is kept, to return to after a collapse.
GOOD: Final = 1.2
MAX_COLLAPSES: Final = 8


@dataclass(frozen=True)
class MetaConfig:
    """Settings of `learn`.

    Parameters
    ----------
    steps, seconds
        Budget, steps >= 0. With both, learning ends when the first is spent; with neither, after 1,000 steps.
    tasks
        Tasks per step.
    at_once
        Tasks whose graphs are held in memory together; None for all tasks of a step. The gradient is the same.
    inner_steps, inner_rate
        Steps of gradient descent on a task's mean squared error, and their learning rate.
    learn_rates
        Learn a factor on the rate for every adapted number in every step (Meta-SGD), with Adam at `rates_lr`.
    second_order
        Differentiate through the inner gradients (MAML); otherwise they count as constants (first-order MAML).
    lr, clip
        Peak rate of Adam on the shared parameters, with a short warm-up and a cosine decay to zero; and the norm to
        which gradients are clipped, since second-order gradients have spikes. If the loss still rises to `COLLAPSE`
        times its least, learning returns to an earlier state and continues at half the rate.
    precision
        Of matrix products on a GPU: ``"float32"`` or ``"tf32"``.
    compile
        Use `torch.compile`.
    seed, device
        Seed of the initial parameters; a torch device.
    checkpoint, checkpoint_seconds
        File (safetensors) from which `learn` resumes, and the seconds between writes. It is also written at the end,
        and kept, so that learning can continue with a larger budget.
    log
        File to which every evaluation appends a line of JSON: step, seconds, loss, psnr.
    evaluate_every
        Steps between evaluations on held-out signals.

    Raises
    ------
    InputError
        A setting outside its range.
    """

    steps: int | None = None
    seconds: float | None = None
    tasks: int = 64
    at_once: int | None = None
    inner_steps: int = 3
    inner_rate: float = 1e-2
    learn_rates: bool = False
    rates_lr: float = 1e-2
    second_order: bool = True
    lr: float = 2e-4
    clip: float = 1.0
    precision: Literal["float32", "tf32"] = "tf32"
    compile: bool = False
    seed: int = 0
    device: str = "cpu"
    checkpoint: Path | None = None
    checkpoint_seconds: float = 60.0
    log: Path | None = None
    evaluate_every: int = 500
    least_steps: ClassVar[int] = 10
    """Steps that learning for some seconds makes whatever the clock says."""

    def __post_init__(self) -> None:
        for name in ("seconds", "tasks", "at_once", "inner_steps", "inner_rate", "lr", "evaluate_every"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"learn: {name} must be positive, got {quoted(value)}")
        if self.steps is not None and self.steps < 0:
            raise InputError(f"learn: steps must not be negative, got {quoted(self.steps)}")
        if self.precision not in ("float32", "tf32"):
            raise InputError(f"learn: precision must be float32 or tf32, got {quoted(self.precision)}")
        if not (isinstance(self.seed, int) and 0 <= self.seed < 1 << 63):
            raise InputError(f"learn: seed must be a whole number with 0 <= seed < 2^63, got {quoted(self.seed)}")

    @property
    def max_steps(self) -> int | None:
        """The budget in steps, None where only seconds bound it."""
        return 1000 if self.steps is None and self.seconds is None else self.steps


@dataclass(frozen=True)
class Learned:
    """Result of `learn`.

    Attributes
    ----------
    params
        Shared parameters by name. If they are adapted, these are their initial values.
    rates
        Learning rates of the inner steps by name of the adapted parameter, (steps,) + its shape, or (steps,) + ones.
    steps, seconds, interrupted
        As in `FitResult`.
    curve
        The log: dicts with "step", "seconds", "loss" and, with held-out signals, "psnr". After a collapse, also "lr",
        the learning rate from there on.
    """

    params: dict[str, NDArray[np.float32]]
    rates: dict[str, NDArray[np.float32]]
    steps: int
    seconds: float
    interrupted: bool
    curve: tuple[dict[str, float], ...]


# -- the inner loop --------------------------------------------------------------------------------------------


def adapt(loss: Loss, start: Tensors, rates: Tensors, second_order: bool = True) -> Tensors:
    """Gradient descent from `start`, one step for each entry of the rates.

    Parameters
    ----------
    loss
        ``loss(adapted)``; differentiable, also under `torch.func.vmap`.
    start
        Initial values of the adapted parameters, by name.
    rates
        By name, (steps,) + a shape that broadcasts to that of `start`.
    second_order
        Whether the result depends on `start` through the gradients, too.
    """
    gradient = torch.func.grad(loss)
    adapted = dict(start)
    for step in range(min(len(rate) for rate in rates.values())):
        slopes = gradient(adapted)
        adapted = {
            name: value - rates[name][step] * (slopes[name] if second_order else slopes[name].detach())
            for name, value in adapted.items()
        }
    return adapted


def squared_error(function: Function, shared: Mapping[str, Any], coords: Any, values: Any) -> Loss:
    """The mean squared error of a task as a function of the adapted parameters."""

    def loss(adapted: Tensors) -> Tensor:
        error: Tensor = ((function({**shared, **adapted}, coords) - values) ** 2).mean()
        return error

    return loss


def adapt_many(
    function: Function,
    shared: Tensors,
    start: Tensors,
    rates: Tensors,
    coords: Tensor,
    values: Tensor,
) -> Tensors:
    """Adapt to a batch of tasks, without a graph: (count, ...) by name.

    Coords are (n, a) for all tasks, or (count, n, a); values are (count, n, b).
    """

    def one(coords: Tensor, values: Tensor) -> Tensors:
        return adapt(squared_error(function, shared, coords, values), start, rates)

    with torch.no_grad():
        result: Tensors = torch.vmap(one, in_dims=(0 if coords.ndim == 3 else None, 0))(coords, values)
        return result


def descend(
    function: Function, shared: Tensors, start: Tensors, rates: Tensors, coords: Tensor, values: Tensor, steps: int
) -> Tensors:
    """Further steps after `adapt_many`, (count, ...) by name, with a step size for each task.

    The last rates are too large for further steps. A step that does not lower the loss of its task is rejected, and
    halves the task's step size.
    """
    last = {name: rate[-1] for name, rate in rates.items()}

    def one(adapted: Tensors, pace: Tensor, coords: Tensor, values: Tensor) -> tuple[Tensors, Tensor]:
        loss = squared_error(function, shared, coords, values)
        slopes, before = torch.func.grad_and_value(loss)(adapted)
        there = {name: value - pace * last[name] * slopes[name] for name, value in adapted.items()}
        better = loss(there) < before
        return {n: torch.where(better, there[n], v) for n, v in adapted.items()}, torch.where(better, pace, pace / 2)

    pace = torch.ones(len(values), device=values.device)
    each = torch.vmap(one, in_dims=(0, 0, 0 if coords.ndim == 3 else None, 0))
    with torch.no_grad():
        for _ in range(steps):
            start, pace = each(start, pace, coords, values)
    return start


def inner_rates(start: Mapping[str, Any], steps: int, rate: float) -> Tensors:
    """The same rate for every number in every step, as (steps, 1, ...)."""
    return {name: torch.full((steps, *(1 for _ in value.shape)), rate) for name, value in start.items()}


# -- the outer loop --------------------------------------------------------------------------------------------


def learn(
    field: MLP | Modulated,
    tasks: Tasks,
    config: MetaConfig | None = None,
    *,
    own: Mapping[str, tuple[int, ...]] | None = None,
    evaluate: Callable[[Function, Tensors, Tensors, Tensors], float] | None = None,
    start: tuple[Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]]] | None = None,
    progress: Listener | None = None,
) -> Learned:
    """Learn the parameters that the signals of a kind share.

    Parameters
    ----------
    field
        A network: `MLP`, or `Modulated`.
    tasks
        Signals to learn from.
    config
        Budget and the rest.
    own
        Names and shapes of what is adapted, if that starts at zero and is no part of the shared parameters, as latents
        do (CAVIA). None: all parameters are adapted (MAML).
    evaluate
        ``evaluate(function, shared, start, rates)`` in dB on held-out signals, see `held_out`; the parameters with the
        best of them are kept.
    start
        Shared parameters and rates to begin with instead of fresh ones.
    progress
        Called as ``progress(step, total, loss)``.

    Raises
    ------
    InputError
        The field does not fit the tasks, the device cannot be used, a file cannot be written or is of another
        learning, or the loss collapses again and again.
    """
    config = config or MetaConfig()
    if (field.in_features, field.out_features) != (tasks.in_features, tasks.out_features):
        raise InputError(
            f"field: expected the signals' {tasks.in_features} coordinates and {tasks.out_features} values, "
            f"got {field.in_features} and {field.out_features}"
        )
    check_device(config.device)
    for path in (config.checkpoint, config.log):
        if path is not None:
            check_output(path)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if config.precision == "tf32" else "highest")
    try:
        return _Learning(field, tasks, config, own, evaluate, start, progress).result()
    finally:
        torch.set_float32_matmul_precision(before)


class _Learning:
    def __init__(
        self,
        field: MLP | Modulated,
        tasks: Tasks,
        config: MetaConfig,
        own: Mapping[str, tuple[int, ...]] | None,
        evaluate: Callable[[Function, Tensors, Tensors, Tensors], float] | None,
        start: tuple[Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]]] | None,
        progress: Listener | None,
    ) -> None:
        self.run = Run(config, self, progress)
        self.field, self.tasks, self.config, self.evaluate = field, tasks, config, evaluate
        fresh = field.init(np.random.default_rng(config.seed)) if start is None else start[0]
        self.digest = zlib.crc32(b"".join(np.ascontiguousarray(value).tobytes() for value in fresh.values()))
        self.params = {n: torch.tensor(v, device=config.device).requires_grad_() for n, v in fresh.items()}
        self.own = None if own is None else {n: torch.zeros(s, device=config.device) for n, s in own.items()}
        # Rates are learned as factors on `inner_rate`, so that `rates_lr` does not depend on its scale.
        self.factors = {
            name: torch.ones(
                (config.inner_steps, *(value.shape if config.learn_rates else [1] * value.ndim)), device=config.device
            ).requires_grad_(config.learn_rates)
            for name, value in self.adapted.items()
        }
        if start is not None:
            with torch.no_grad():
                for name, factor in self.factors.items():
                    factor.copy_(torch.as_tensor(start[1][name]) / config.inner_rate)
        groups = [{"params": list(self.params.values()), "lr": config.lr}]
        if config.learn_rates:
            groups.append({"params": list(self.factors.values()), "lr": config.rates_lr})
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
        self.function = field.function(xtorch, torch.device(config.device))
        self.losses = torch.compile(self._losses, dynamic=False) if config.compile else self._losses
        self.recent, self.least = math.nan, math.inf
        self.collapses = 0
        #: A state to return to after a collapse, and the parameters that were best on held-out signals.
        self.good: dict[str, Any] = self.snapshot()
        self.best: dict[str, Any] | None = None
        self.curve: list[dict[str, float]] = []

    @property
    def adapted(self) -> Tensors:
        """Initial values of the adapted parameters."""
        return self.params if self.own is None else self.own

    @property
    def rates(self) -> Tensors:
        return {name: self.config.inner_rate * factor for name, factor in self.factors.items()}

    def _losses(self, params: Tensors, factors: Tensors, coords: Tensor, values: Tensor) -> Tensor:
        """Losses (count,) of tasks after the inner loop."""
        start = params if self.own is None else self.own
        rates = {name: self.config.inner_rate * factor for name, factor in factors.items()}

        def one(coords: Tensor, values: Tensor) -> Tensor:
            loss = squared_error(self.function, params, coords, values)
            return loss(adapt(loss, start, rates, self.config.second_order))

        result: Tensor = torch.vmap(one, in_dims=(0 if coords.ndim == 3 else None, 0))(coords, values)
        return result

    def result(self) -> Learned:
        """Run the learning."""
        config, run = self.config, self.run
        run.resume()
        with run:
            for share in run:
                self.one_step(share)
                if config.compile and run.step == 1:
                    run.exclude(run.latest)
                if run.step % config.evaluate_every == 0:
                    self.look()
        if not self.curve or self.curve[-1]["step"] != run.step:
            self.look()
        best = {"params": self.params, "factors": self.factors} if self.best is None else self.best
        run.save()
        run.report(self.recent)
        with torch.no_grad():
            return Learned(
                {name: value.detach().cpu().numpy().copy() for name, value in best["params"].items()},
                {n: config.inner_rate * value.detach().cpu().numpy() for n, value in best["factors"].items()},
                run.step,
                run.elapsed,
                run.interrupted,
                tuple(self.curve),
            )

    def one_step(self, share: float) -> None:
        """One step of Adam on the mean loss of a batch of tasks."""
        config = self.config
        coords, values = self.tasks.draw(config.tasks)
        at_once = config.at_once or config.tasks
        total = torch.zeros((), device=config.device)
        for first in range(0, config.tasks, at_once):
            some = slice(first, first + at_once)
            losses = self.losses(self.params, self.factors, coords[some] if coords.ndim == 3 else coords, values[some])
            loss = losses.sum() / config.tasks
            loss.backward()
            total += loss.detach()
        torch.nn.utils.clip_grad_norm_([*self.params.values()], config.clip)
        factor = rate_at("cosine", self.run.step, share)
        for group, rate in zip(self.optimizer.param_groups, (config.lr, config.rates_lr)):
            group["lr"] = factor * rate / 2**self.collapses
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.run.advance()
        if self.run.step % LOOK == 0 or self.run.step == 1:  # reading the value waits for the GPU
            self.watch(float(total))
            self.run.report(self.recent)

    def watch(self, loss: float) -> None:
        """Keep a good state, and return to it after a collapse."""
        self.recent = loss if math.isnan(self.recent) else self.recent + 0.2 * (loss - self.recent)
        if self.recent <= GOOD * self.least:
            self.least = min(self.least, self.recent)
            self.good = self.snapshot()
        elif not self.recent < COLLAPSE * self.least:  # NaN, too
            self.collapses += 1
            if self.collapses > MAX_COLLAPSES:
                raise InputError(
                    f"learn: diverged at step {self.run.step}; expected a lower lr than {self.config.lr:g}"
                )
            self.restore(self.good)
            self.recent = self.least
            lr = self.config.lr / 2**self.collapses
            logger.warning(
                "learn: the loss collapsed at step %d; going on from an earlier one at %g", self.run.step, lr
            )
            self.log({"step": self.run.step, "seconds": round(self.run.elapsed, 1), "loss": self.recent, "lr": lr})

    def snapshot(self) -> dict[str, Any]:
        """A copy of the learned tensors and of the optimiser's state."""
        return {
            "params": {name: value.detach().clone() for name, value in self.params.items()},
            "factors": {name: value.detach().clone() for name, value in self.factors.items()},
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Inverse of `snapshot`."""
        with torch.no_grad():
            for leaves, kept in ((self.params, state["params"]), (self.factors, state["factors"])):
                for name, leaf in leaves.items():
                    leaf.copy_(kept[name])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))

    def look(self) -> None:
        """Measure held-out signals and log the result."""
        line = {"step": self.run.step, "seconds": round(self.run.elapsed, 1), "loss": self.recent}
        if self.evaluate is not None:
            with torch.no_grad():
                shared = {name: value.detach() for name, value in self.params.items()}
                start = shared if self.own is None else self.own
                rates = {name: value.detach() for name, value in self.rates.items()}
                line["psnr"] = round(self.evaluate(self.function, shared, start, rates), 3)
            if line["psnr"] >= max((known.get("psnr", -math.inf) for known in self.curve), default=-math.inf):
                self.best = {name: value for name, value in self.snapshot().items() if name != "optimizer"}
        self.log(line)

    def log(self, line: dict[str, float]) -> None:
        """Add a line to the learning curve and its file."""
        self.curve.append(line)
        if self.config.log is not None:
            with Path(self.config.log).open("a") as file:
                file.write(json.dumps(line) + "\n")

    # -- checkpoints

    def identity(self) -> str:
        """See `run.Resumable`."""
        free = {"steps", "seconds", "checkpoint", "checkpoint_seconds", "log", "evaluate_every", "device", "compile"}
        settings = {key: value for key, value in asdict(self.config).items() if key not in free | {"at_once"}}
        own = None if self.own is None else {name: list(value.shape) for name, value in self.own.items()}
        return json.dumps([repr(self.field), own, settings, self.digest])

    def state_dict(self) -> dict[str, Any]:
        """See `run.Resumable`."""
        return {
            "step": self.run.step,
            "before": self.run.elapsed - self.run.uncounted,
            "recent": None if math.isnan(self.recent) else self.recent,
            "curve": self.curve,
            "least": None if math.isinf(self.least) else self.least,
            "collapses": self.collapses,
            "now": self.snapshot(),
            "good": self.good,
            "best": self.best,
            "generator": self.tasks.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `run.Resumable`."""
        self.run.step, self.run.before, self.curve = state["step"], state["before"], state["curve"]
        self.recent = math.nan if state["recent"] is None else state["recent"]
        self.least = math.inf if state["least"] is None else state["least"]
        self.collapses, self.good, self.best = state["collapses"], state["good"], state["best"]
        self.restore(state["now"])
        self.tasks.generator.set_state(state["generator"])


def adapted_to(
    field: MLP | Modulated,
    shared: Mapping[str, Any],
    rates: Mapping[str, Any],
    batches: Iterable[tuple[Tensor, Tensor]],
    device: str = "cpu",
    steps: int | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Adapt to batches of tasks: the results of all, stacked.

    Parameters
    ----------
    field, shared, rates
        Network, learned parameters and rates.
    batches
        Tasks, each batch with (coords, values) as in `adapt_many`.
    device
        A torch device.
    steps
        Inner steps; None for one per entry of the rates. Further ones are those of `descend`.
    """
    check_device(device)
    function = field.function(xtorch, torch.device(device))
    tensors = {name: torch.as_tensor(value, device=device) for name, value in shared.items()}
    slopes = {name: torch.as_tensor(value, device=device) for name, value in rates.items()}
    known = min(len(rate) for rate in slopes.values())
    more = 0 if steps is None else max(0, steps - known)
    if steps is not None:
        slopes = {name: rate[:steps] for name, rate in slopes.items()}
    own = LATENTS in rates
    start = {LATENTS: torch.zeros(field.latents, device=device)} if own else tensors
    found = []
    for batch in batches:
        coords, values = (tensor.to(device) for tensor in batch)
        adapted = adapt_many(function, tensors, start, slopes, coords, values)
        found.append(descend(function, tensors, adapted, slopes, coords, values, more))
    return {name: torch.cat([adapted[name] for adapted in found]).cpu().numpy() for name in start}


# -- held-out signals ------------------------------------------------------------------------------------------


def held_out(
    signals: Sequence[tuple[Tensor, Tensor]], at_once: int = 64
) -> Callable[[Function, Tensors, Tensors, Tensors], float]:
    """``evaluate`` for `learn`: mean PSNR in dB over signals, of the adapted networks' values, clipped to [-1, 1].

    Parameters
    ----------
    signals
        For each: coords (n, a), or (m, n, a), and values (m, n, b) of its m tasks.
    at_once
        Tasks adapted together.
    """

    def evaluate(function: Function, shared: Tensors, start: Tensors, rates: Tensors) -> float:
        return float(np.mean([_psnr(function, shared, start, rates, c, v, at_once) for c, v in signals]))

    return evaluate


def _psnr(
    function: Function, shared: Tensors, start: Tensors, rates: Tensors, coords: Tensor, values: Tensor, at_once: int
) -> float:
    total = 0.0
    for first in range(0, len(values), at_once):
        some = slice(first, first + at_once)
        v, c = values[some], coords[some] if coords.ndim == 3 else coords
        adapted = adapt_many(function, shared, start, rates, c, v)
        with torch.no_grad():
            apply = torch.vmap(lambda a, c: function({**shared, **a}, c), in_dims=(0, 0 if c.ndim == 3 else None))
            total += float(((apply(adapted, c).clamp(-1, 1) - v) ** 2).mean()) * len(v)
    return 10 * math.log10(4 / max(total / len(values), 1e-12))
