"""Many networks at once: fits of equal shape as one batch, for a GPU that a single small network leaves idle."""

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
from sinr_codec.fit.run import Listener
from sinr_codec.fit.samples import Batches, Samples, even_subset
from sinr_codec.signals.base import Part, SampledPart


def fit_many(
    field: Field, parts: Sequence[Part], config: FitConfig, progress: Listener | None = None
) -> list[FitResult]:
    """Fit a network of the same shape to each of several signals of the same size, all in one batch.

    Each network sees what `fit` would show it: the same initial weights but for the mean, the same batches, and Adam,
    which works on every number by itself. So the results are those of single fits, up to the rounding of sums.

    Parameters
    ----------
    field
        The network.
    parts
        Signals of equal length.
    config
        As for `fit`, with a budget in steps and the optimiser ``"adam"``; checkpoints are not written.
    progress
        Called as ``progress(step, total, loss)`` with the mean loss.

    Returns
    -------
    list of FitResult
        In the order of the signals. Those that diverge are fitted again by themselves.

    Raises
    ------
    InputError
        Signals of unequal length, another optimiser, or a budget in seconds.
    """
    if not parts:
        return []
    steps = config.max_steps
    if config.optimizer != "adam" or steps is None or config.seconds is not None or config.bits is not None:
        raise InputError("fit_many: expected the optimizer adam, a budget in steps and no bits")
    if len({len(part) for part in parts}) != 1:
        raise InputError("fit_many: expected signals of equal length")
    config = replace(config, checkpoint=None)
    samples = [Samples(part, config.device) for part in parts]
    subset = even_subset(len(parts[0]), 1 << 20)
    evaluators = [Evaluator(field, part, subset, config.device, table) for part, table in zip(parts, samples)]
    # The mean of a signal is where its network begins, as in `fit`; the other weights are shared.
    fresh = field.init(np.random.default_rng(config.seed))
    means = [mean_of(table, part) for table, part in zip(samples, parts)]
    starts = [field.centre(fresh, mean) for mean, _ in means]
    packing = Packing(fresh, join=False)
    stacked = packing.pack({name: np.stack([start[name] for start in starts]) for name in fresh}, config.device)
    optimizer = make_optimizer("adam", stacked, config.peak_lr(field))
    batches = Batches(len(parts[0]), min(config.batch, len(parts[0])), config.seed)
    take = Samples.stacked(samples)
    function = torch.vmap(field.function(xtorch, torch.device(config.device)))
    best: list[tuple[float, dict[str, np.ndarray]]] = [(math.inf, {}) for _ in parts]
    began = time.perf_counter()

    def keep_best() -> None:
        whole = packing.to_numpy(stacked)
        for i, evaluator in enumerate(evaluators):
            params = {name: value[i] for name, value in whole.items()}
            loss = evaluator(params)
            if loss < best[i][0]:
                best[i] = loss, params

    marks = [round(share * steps) for share in EVALUATE_AT]
    for step in range(steps):
        index = batches.draw()
        coords, values = take(index)
        losses = losses_of(parts, function(packing.unpack(stacked), coords), values)
        # the gradients of a sum do not mix
        losses.nan_to_num(0.0).sum().backward()
        add_l1(stacked, config.l1)
        optimizer.step(rate_at(config.schedule, step, step / steps))
        if step + 1 in marks:
            keep_best()
        if progress is not None and step % 10 == 0:
            progress(step, steps, float(losses.detach().mean()))
    keep_best()
    seconds = (time.perf_counter() - began) / len(parts)
    results = []
    for part, (_, mean_loss), (loss, params) in zip(parts, means, best):
        if not params or loss >= mean_loss > FLAT:
            results.append(fit(field, part, config))
        else:
            results.append(FitResult(params, loss, steps, seconds, False, 0, False, False))
    return results


def losses_of(parts: Sequence[Part], predicted: Tensor, values: Tensor) -> Tensor:
    """The loss of each signal, (m,), for (m, n, b) against (m, n, b); all at once where it is the usual one."""
    if all(type(part).loss is SampledPart.loss and type(part).errors is SampledPart.errors for part in parts):
        return SampledPart.errors(parts[0], predicted, values).mean(-1)  # type: ignore[arg-type]
    return torch.stack([part.loss(p, v) for part, p, v in zip(parts, predicted, values)])
