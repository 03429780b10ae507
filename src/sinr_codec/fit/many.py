"""Many networks at once: fits of equal shape as one batch, since one small network leaves a GPU idle."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from array_api_compat import torch as xtorch
from torch import Tensor

from sinr_codec.errors import InputError
from sinr_codec.fields.base import Field
from sinr_codec.fit.config import FitConfig, FitResult
from sinr_codec.fit.evaluate import Evaluator
from sinr_codec.fit.loop import EVALUATE_AT, FLAT, add_l1, fit, mean_of, rate_at
from sinr_codec.fit.optim import Packing, make_optimizer
from sinr_codec.fit.samples import Batches, Samples, even_subset
from sinr_codec.progress import Listener
from sinr_codec.signals.base import Part, SampledPart


def fit_many(
    field: Field, parts: Sequence[Part], config: FitConfig, progress: Listener | None = None
) -> list[FitResult]:
    """Fit a network of the same shape to each of several signals of the same size, in one batch.

    Each network is trained as in `fit`: with the same initial weights except for the signal's mean, the same batches,
    and Adam, which updates every number independently. So the results are those of single fits, up to rounding errors
    of sums.

    Parameters
    ----------
    field
        The network.
    parts
        Signals of equal length.
    config
        As for `fit`, with a budget in steps and the optimiser ``"adam"``. No checkpoints are written.
    progress
        Called as ``progress(step, total, loss)`` with the mean loss.

    Returns
    -------
    list of FitResult
        In the order of the signals. Those that diverge are fitted again, one by one.

    Raises
    ------
    InputError
        Signals of unequal length, another optimiser, or a budget in seconds.
    """
    if not parts:
        return []
    if config.optimizer != "adam" or config.seconds is not None or config.bits is not None:
        raise InputError("fit_many: expected the optimizer adam, a budget in steps and no bits")
    if len({len(part) for part in parts}) != 1:
        raise InputError("fit_many: expected signals of equal length")
    config = replace(config, checkpoint=None)
    many = _Many(field, parts, config)
    many.train(progress)
    return many.results()


class _Many:
    def __init__(self, field: Field, parts: Sequence[Part], config: FitConfig) -> None:
        assert config.max_steps is not None
        self.field, self.parts, self.config, self.steps = field, parts, config, config.max_steps
        samples = [Samples(part, config.device) for part in parts]
        subset = even_subset(len(parts[0]), 1 << 20)
        self.evaluators = [Evaluator(field, part, subset, config.device, table) for part, table in zip(parts, samples)]
        # As in `fit`, a network starts at its signal's mean; the other weights are shared.
        fresh = field.init(np.random.default_rng(config.seed))
        means = [mean_of(table, part) for table, part in zip(samples, parts)]
        self.mean_losses = [loss for _, loss in means]
        starts = [field.centre(fresh, mean) for mean, _ in means]
        self.packing = Packing(fresh, join=False)
        stacked = {name: np.stack([start[name] for start in starts]) for name in fresh}
        self.leaves = self.packing.pack(stacked, config.device)
        self.optimizer = make_optimizer("adam", self.leaves, config.peak_lr(field))
        self.batches = Batches(len(parts[0]), min(config.batch, len(parts[0])), config.seed)
        self.take = Samples.stacked(samples)
        self.function = torch.vmap(field.function(xtorch, torch.device(config.device)))
        #: Least loss of each network so far, and its parameters.
        self.best: list[tuple[float, dict[str, np.ndarray]]] = [(math.inf, {}) for _ in parts]
        self.began = time.perf_counter()

    def train(self, progress: Listener | None) -> None:
        """Step until the budget is spent."""
        marks = [round(share * self.steps) for share in EVALUATE_AT]
        for step in range(self.steps):
            coords, values = self.take(self.batches.draw())
            losses = losses_of(self.parts, self.function(self.packing.unpack(self.leaves), coords), values)
            # in the sum, each network gets the gradient of its own loss
            losses.nan_to_num(0.0).sum().backward()
            add_l1(self.leaves, self.config.l1)
            self.optimizer.step(rate_at(self.config.schedule, step, step / self.steps))
            if step + 1 in marks:
                self.keep_best()
            if progress is not None and step % 10 == 0:
                progress(step, self.steps, float(losses.detach().mean()))
        self.keep_best()

    def keep_best(self) -> None:
        """Evaluate the weights of each network and keep them if they are the best so far."""
        whole = self.packing.to_numpy(self.leaves)
        for i, evaluator in enumerate(self.evaluators):
            params = {name: value[i] for name, value in whole.items()}
            loss = evaluator(params)
            if loss < self.best[i][0]:
                self.best[i] = loss, params

    def results(self) -> list[FitResult]:
        """The best parameters of each network; a network that diverged is fitted again by itself."""
        seconds = (time.perf_counter() - self.began) / len(self.parts)
        results = []
        for part, mean_loss, (loss, params) in zip(self.parts, self.mean_losses, self.best):
            if not params or loss >= mean_loss > FLAT:
                results.append(fit(self.field, part, self.config))
            else:
                results.append(FitResult(params, loss, self.steps, seconds, False, 0, False, False))
        return results


def losses_of(parts: Sequence[Part], predicted: Tensor, values: Tensor) -> Tensor:
    """The loss of each signal, (m,), for (m, n, b) against (m, n, b); in one operation if it is the usual one."""
    if all(type(part).loss is SampledPart.loss and type(part).errors is SampledPart.errors for part in parts):
        return SampledPart.errors(parts[0], predicted, values).mean(-1)  # type: ignore[arg-type]
    return torch.stack([part.loss(p, v) for part, p, v in zip(parts, predicted, values)])
