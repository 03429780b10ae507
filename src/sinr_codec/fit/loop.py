"""The training loop: fits the parameters of a field to the samples of a signal."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import torch
from array_api_compat import torch as xtorch
from numpy.typing import NDArray
from torch import Tensor

from sinr_codec.errors import InputError
from sinr_codec.fields.base import Field, Trainable
from sinr_codec.fields.families import family_of
from sinr_codec.files import check_output
from sinr_codec.fit import compilation, kernels
from sinr_codec.fit.config import LEAST_STEPS, FitConfig, FitResult, Schedule
from sinr_codec.fit.evaluate import Evaluator
from sinr_codec.fit.optim import Leaves, Packing, Stepper, joins, make_optimizer
from sinr_codec.fit.rated import BEGIN_AT, Rate
from sinr_codec.fit.run import Run
from sinr_codec.fit.samples import Batches, BatchesByError, Samples, even_subset, weighted_mean
from sinr_codec.progress import Listener
from sinr_codec.signals.base import Part

#: Shares of the budget at which the whole signal is evaluated and the best weights are kept, in addition to the end.
EVALUATE_AT: Final = (0.5, 0.75, 0.9)
#: Such an evaluation is skipped if it costs more than this share of the budget. For a photograph of 768 x 512 fitted
#: with 3,000 batches of 4,096, one costs 0.011.
EVALUATION_SHARE: Final = 0.02
EVALUATION_SAMPLES: Final = 1 << 20
#: The warm-up ends after this many steps or this share of the budget, whichever comes first.
WARMUP_STEPS: Final = 50
WARMUP_SHARE: Final = 0.05
#: Restarts after divergence, and the factor on the learning rate at each.
MAX_RESTARTS: Final = 3
RESTART_FACTOR: Final = 1 / 3
#: Largest share of a budget in seconds that is reserved for the last evaluation.
MOST_RESERVED: Final = 0.1
#: First steps, which a budget in seconds does not count: imports and allocations fall into them.
FIRST_STEPS: Final = 2
#: Steps between checks of the running loss.
LOOK: Final = 10
#: Shares of a fit of at least `COOL_STEPS` at which the learning rate is multiplied by `COOLER` if the loss is above
#: `COOL_LOSS` times that at the previous one: networks learn little while the rate is too high. All come before the
#: noise of a fit for a number of bits begins.
COOL_AT: Final = (0.05, 0.1, 0.15, 0.2, 0.25)
COOL_STEPS: Final = 1000
COOL_LOSS: Final = 0.995
COOLER: Final = 0.7
#: A signal with a smaller variance (46 dB for values in [-1, 1]) is flat: its mean is no yardstick for divergence.
FLAT: Final = 1e-4


def fit(
    field: Trainable,
    signal: Part,
    config: FitConfig | None = None,
    params: Mapping[str, NDArray[Any]] | None = None,
    progress: Listener | None = None,
) -> FitResult:
    """Fit a field to a signal.

    Parameters
    ----------
    field
        The network; its in_features and out_features are the signal's. A field with state beside its parameters, such
        as an occupancy grid, has a method ``refresh(params, step)``. It is called with torch tensors and without
        gradients before every step, with step 0 at the beginning of every attempt. A field that costs more than one
        multiply-add per parameter and sample gives that number as ``work``.
    signal
        The samples to fit.
    config
        Settings.
    params
        Initial parameters (warm start) instead of fresh ones.
    progress
        Called as ``progress(step, total, loss)`` with the running loss. For a budget in seconds, `total` is an
        estimate.

    Returns
    -------
    FitResult
        After Ctrl-C, too: the best parameters so far, with ``interrupted=True``.

    Raises
    ------
    InputError
        The field does not fit the signal, the device cannot be used, the optimiser does not suit the field, the
        checkpoint cannot be written or belongs to another fit, or the fit diverged at every learning rate tried.
    """
    config = config or FitConfig()
    if (field.in_features, field.out_features) != (signal.in_features, signal.out_features):
        raise InputError(
            f"field: expected the signal's {signal.in_features} coordinates and {signal.out_features} values, "
            f"got {field.in_features} and {field.out_features}"
        )
    if config.checkpoint is not None:
        check_output(config.checkpoint)
    # A field that is trained through a map of its parameters has no header: these are weights, whatever they make.
    train = family_of(field).train if hasattr(field, "to_header") else fit_weights
    result: FitResult = train(field, signal, config, params, progress)
    return result


def fit_weights(
    field: Trainable,
    signal: Part,
    config: FitConfig,
    params: Mapping[str, NDArray[Any]] | None = None,
    progress: Listener | None = None,
) -> FitResult:
    """The trainer of most families: all parameters by gradient descent. See `fit`."""
    if params is not None:
        field.check(params)
    with kernels.training(getattr(field, "work", field.num_params) * min(config.batch, len(signal))):
        return _Fit(field, signal, config, params, progress).result()


def rate_at(schedule: Schedule, step: int, share: float) -> float:
    """Factor on the learning rate: a short warm-up, then a cosine decay to zero; or the constant 1."""
    if schedule == "constant":
        return 1.0
    ramp = min(1.0, max((step + 1) / WARMUP_STEPS, share / WARMUP_SHARE))
    return ramp * 0.5 * (1 + math.cos(math.pi * share))


def add_l1(leaves: Leaves, weight: float) -> None:
    """Add the gradient of an L1 penalty. The loss that is reported stays that of the signal."""
    for leaf in leaves.values() if weight else ():
        if leaf.grad is not None:
            leaf.grad.add_(leaf.detach().sign(), alpha=weight)


def mean_of(samples: Samples, signal: Part) -> tuple[NDArray[np.float32], float]:
    """A signal's mean values (b,) and their loss, which every fit must beat."""
    chunks = list(samples.chunks(even_subset(len(samples), 1 << 16)))
    mean = torch.cat([values for _, values in chunks]).mean(0)
    loss = weighted_mean([(signal.loss(mean.expand_as(v), v), len(v)) for _, v in chunks])
    if not math.isfinite(loss):
        raise InputError("signal: expected finite values, found NaN or infinity")
    return mean.cpu().numpy(), loss


def fresh(field: Field, mean: NDArray[np.float32], seed: int) -> dict[str, NDArray[Any]]:
    """Initial parameters, centred on the signal's mean (b,), which small networks are slow to learn."""
    return field.centre(field.init(np.random.default_rng(seed)), mean)


@dataclass
class _State:
    """State of a fit besides its run, leaves, optimiser and generator."""

    #: Peak learning rate of this attempt.
    lr: float = 0.0
    restarts: int = 0
    #: Running mean of the loss; None before the first step.
    recent: float | None = None
    evaluated: int = 0
    #: Checks for too high a learning rate made so far, the running loss at the last one, and the factor on the rate.
    cooled: int = 0
    warm: float = math.inf
    pace: float = 1.0
    checked: bool = False
    best_loss: float = math.inf
    best: Leaves | None = None


class _Diverged(Exception):
    """The loss is NaN or infinite, or no better than that of the signal's mean."""


class _Fit:
    def __init__(
        self,
        field: Trainable,
        signal: Part,
        config: FitConfig,
        params: Mapping[str, NDArray[Any]] | None,
        progress: Listener | None,
    ) -> None:
        self.run = Run(config, self, progress)
        self.field, self.signal, self.config = field, signal, config
        self.samples = Samples(signal, config.device)
        self.batch = min(config.batch, len(signal))
        self.subset = even_subset(len(signal), EVALUATION_SAMPLES)
        self.evaluator = Evaluator(field, signal, self.subset, config.device, self.samples)
        # a step, with its backward pass, costs three forward passes
        size = len(self.samples) if self.subset is None else len(self.subset)
        self.evaluation_steps = size / (3 * self.batch)
        #: Seconds of the fastest step. The mean would be distorted by the first steps and by other load.
        self.fastest = math.inf
        mean, self.mean_loss = mean_of(self.samples, signal)
        self.start = dict(params) if params is not None else fresh(cast(Field, field), mean, config.seed)
        self.rated_at = BEGIN_AT if params is None else 0.0
        self.refresh = getattr(field, "refresh", None)
        self.packing = Packing(self.start, joins(config.optimizer))
        self.peak_lr = config.peak_lr(field)
        self.state = _State(lr=self.peak_lr)
        self.begin()

    # -- one attempt

    def begin(self) -> None:
        """Set up leaves, optimiser and batches for step 0."""
        self.leaves = self.packing.pack(self.start, self.config.device)
        #: Noise and rate penalty of a fit for a number of bits, once they begin.
        self.rated: Rate | None = None
        self.optimizer: Stepper = make_optimizer(self.config.optimizer, self.leaves, self.state.lr)
        # a batch of the whole signal leaves nothing to choose
        by_error = self.config.sampling == "error" and self.batch < len(self.samples)
        kind = BatchesByError if by_error else Batches
        self.batches = kind(len(self.samples), self.batch, self.config.seed)

    def result(self) -> FitResult:
        """Run the fit."""
        run, state = self.run, self.state
        run.resume()
        self.loss = self._loss_function()
        with run:
            run.complete(self.attempts)
            self.keep_best()
        run.finish(self.config.keep_checkpoint and state.best is not None)
        if state.best is None:
            tried = state.restarts + 1
            raise InputError(f"fit: diverged {tried} time(s); expected a lower lr than {self.peak_lr:g}")
        if not run.interrupted:
            self._report(run.step)
        return FitResult(
            self.packing.to_numpy(state.best),
            state.best_loss,
            run.step,
            run.elapsed,
            run.interrupted,
            state.restarts,
            self.no_better(state.best_loss),
            self.compiled,
        )

    def attempts(self) -> None:
        """Restart at lower learning rates until an attempt does not diverge."""
        while True:
            try:
                self.attempt()
                return
            except _Diverged:
                if self.state.restarts == MAX_RESTARTS:
                    return
                self.restart()

    def attempt(self) -> None:
        """Step until the budget is spent or Ctrl-C."""
        run = self.run
        for share in run:
            value = self.descend(share)
            run.advance()
            self.time()
            recent = self.state.recent
            self.state.recent = value if recent is None else recent + 0.05 * (value - recent)
            if run.step % LOOK == 0:
                self.look(share)

    def descend(self, share: float) -> float:
        """Make one step of gradient descent; return the loss before it."""
        if self.refresh is not None:
            with torch.no_grad():
                self.refresh(self.packing.unpack(self.leaves), self.run.step)
        coords, values = self.samples.take(self.batches.draw())
        if self.rated is None and self.config.bits is not None and share >= self.rated_at:
            self.rated = self._rate()
        leaves = self.leaves if self.rated is None else self.rated.noisy(self.leaves)
        weights = self.batches.weights
        weights = None if weights is None else weights.to(self.config.device)
        loss, errors = self.loss(leaves, coords, values, weights)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise _Diverged
        loss.backward()
        if isinstance(self.batches, BatchesByError):
            self.batches.learn(errors)
        add_l1(self.leaves, self.config.l1)
        if self.rated is not None:
            self.rated.step(self.leaves, value, self.rate(share))
        try:
            self.optimizer.step(self.rate(share))
        except torch.linalg.LinAlgError as error:  # SOAP's eigenbases of gradients that overflowed
            raise _Diverged from error
        return value

    def time(self) -> None:
        """Exclude the first steps from the budget, and reserve time for the last evaluation."""
        run, seconds = self.run, self.config.seconds
        if run.step <= FIRST_STEPS:
            run.exclude(run.elapsed - run.origin)
            return
        self.fastest = min(self.fastest, run.latest)
        if seconds is not None and run.step >= LOOK:  # earlier steps are too slow to tell
            run.reserve = min(self.evaluation_steps * self.fastest, MOST_RESERVED * seconds)

    def look(self, share: float) -> None:
        """Check for divergence, keep the best weights, report."""
        state, total = self.state, self.run.total
        if not state.checked and share >= 0.25 and self.run.step >= LEAST_STEPS:
            state.checked = True
            if state.recent is not None and self.no_better(state.recent) and state.restarts < MAX_RESTARTS:
                raise _Diverged
        if state.evaluated < len(EVALUATE_AT) and share >= EVALUATE_AT[state.evaluated]:
            state.evaluated += 1
            # with a rate penalty the last weights are the best: earlier ones take more bits
            if self.config.bits is None and self.evaluation_steps <= EVALUATION_SHARE * total:
                self.keep_best()
        if state.cooled < len(COOL_AT) and share >= COOL_AT[state.cooled] and state.recent is not None:
            state.cooled += 1
            if state.recent > COOL_LOSS * state.warm and total >= COOL_STEPS:
                state.pace *= COOLER
            state.warm = state.recent
        self._report(total)

    def restart(self) -> None:
        """Start again at a lower learning rate with the remaining seconds."""
        old = self.state
        self.state.__dict__.update(
            _State(
                lr=old.lr * RESTART_FACTOR,
                restarts=old.restarts + 1,
                best_loss=old.best_loss,
                best=old.best,
            ).__dict__
        )
        self.run.step, self.run.reserve, self.run.origin = 0, 0.0, self.run.elapsed
        self.begin()

    # -- schedule

    def rate(self, share: float) -> float:
        """Factor on the learning rate."""
        return self.state.pace * rate_at(self.config.schedule, self.run.step, share)

    # -- losses

    def _loss_function(self) -> Callable[..., tuple[Tensor, Tensor]]:
        """``f(leaves, coords, values, weights) -> loss, errors (n,)``; the errors are valid only with weights."""
        unpack, signal, device = self.packing.unpack, self.signal, torch.device(self.config.device)

        def loss_in(namespace: Any) -> Callable[..., tuple[Tensor, Tensor]]:
            function = self.field.function(namespace, device)

            def loss(leaves: Leaves, coords: Tensor, values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
                predicted = function(unpack(leaves), coords)
                if weights is None:
                    mean: Tensor = signal.loss(predicted, values)
                    return mean, mean.detach()
                errors: Tensor = signal.errors(predicted, values)
                return (weights * errors).mean(), errors.detach()

            return loss

        self.compiled = False
        fast = None
        if self.config.compile is True or (self.config.compile == "auto" and self._compile_pays()):
            example = self.samples.take(torch.arange(self.batch))
            weights = None if self.batches.weights is None else torch.ones(self.batch, device=self.config.device)
            fast = compilation.compiled(loss_in(xtorch), self._key(), self.leaves, *example, weights)
            for leaf in self.leaves.values():
                leaf.grad = None
            self.compiled = fast is not None
        return fast or loss_in(kernels.namespace(self.config.device))

    def _compile_pays(self) -> bool:
        steps = self.config.max_steps
        work = None if steps is None else 3.0 * self.field.num_params * self.batch * steps
        key, seconds = self._key(), self.config.seconds
        return compilation.pays(key, seconds=seconds, work=work, device=self.config.device)

    def _rate(self) -> Rate:
        assert self.config.bits is not None
        return Rate(self.leaves, self.packing, self.config.bits * len(self.signal), self.config.seed)

    def _key(self) -> str:
        return f"{self.field!r} {self.batch} {joins(self.config.optimizer)} {self.config.sampling} {self.config.device}"

    def no_better(self, loss: float) -> bool:
        """Whether this loss is no better than that of the signal's mean, for a signal that is not flat."""
        return loss >= self.mean_loss > FLAT

    def keep_best(self) -> None:
        """Evaluate the weights and keep them if they are the best so far."""
        loss = self.evaluator(self.packing.unpack(self.leaves))
        if loss < self.state.best_loss:
            self.state.best_loss = loss
            self.state.best = {name: leaf.detach().clone() for name, leaf in self.leaves.items()}

    def _report(self, total: int) -> None:
        recent = self.state.recent
        self.run.report(self.state.best_loss if recent is None else recent, total)

    # -- checkpoints

    def identity(self) -> str:
        """See `run.Resumable`."""
        config = self.config
        coords, values = self.samples.take(torch.from_numpy(np.arange(256) * len(self.samples) // 256))
        digest = zlib.crc32(
            values.cpu().contiguous().numpy().tobytes(),
            zlib.crc32(coords.cpu().contiguous().numpy().tobytes()),
        )
        for value in self.start.values():
            digest = zlib.crc32(np.ascontiguousarray(value).tobytes(), digest)
        budget = [config.steps, config.seconds]
        settings: list[Any] = [config.optimizer, self.peak_lr, self.batch, config.schedule, config.l1, config.seed]
        settings += budget
        settings += [] if config.bits is None else [config.bits]
        settings += [] if config.sampling == "even" else [config.sampling]
        return json.dumps([cast(Field, self.field).to_header(), settings, len(self.samples), digest])

    def state_dict(self) -> dict[str, Any]:
        """See `run.Resumable`."""
        run = self.run
        return {
            "state": self.state.__dict__
            | {"step": run.step, "before": run.elapsed, "attempt": run.origin}
            | {"uncounted": run.uncounted},
            "leaves": self.leaves,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.batches.generator.get_state(),
            "errors": self.batches.errors if isinstance(self.batches, BatchesByError) else None,
            "rated": None if self.rated is None else self.rated.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `run.Resumable`."""
        run, own = self.run, dict(state["state"])
        run.step, run.before, run.origin = own.pop("step"), own.pop("before"), own.pop("attempt")
        run.uncounted = own.pop("uncounted", 0.0)
        self.state.__dict__.update(own)
        self.begin()
        with torch.no_grad():
            for name, leaf in self.leaves.items():
                leaf.copy_(state["leaves"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.batches.generator.set_state(state["generator"])
        if isinstance(self.batches, BatchesByError):
            self.batches.errors = state["errors"]
        if state.get("rated") is not None:
            self.rated = self._rate()
            self.rated.load_state_dict(state["rated"])
