"""Coding: a plan for the network of each part, and their common file."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from sinr_codec.coding.assembled import Plan
from sinr_codec.encoding.files import file_of, sizes_by_part
from sinr_codec.encoding.job import Coded, Fitted, Job
from sinr_codec.errors import InputError
from sinr_codec.fields import Field
from sinr_codec.methods import Method, Task
from sinr_codec.methods.base import PROBE_SAMPLES, error_of, trainable_of
from sinr_codec.methods.refine import refit
from sinr_codec.planning.paper import plan_paper
from sinr_codec.planning.plan import plan
from sinr_codec.progress import Steps
from sinr_codec.quality import NO_LOSS, decibels
from sinr_codec.signals.base import Part
from sinr_codec.types import Params

if TYPE_CHECKING:
    from sinr_codec.fit.rounding import Rounding

_MARGIN: Final = 0.01  # dB above a requested quality, because the loss is on a sample of the positions
_FIT_STEPS_A_ROUNDING: Final = 100  # fit steps for each step that rounding takes after a group of weights


def code(job: Job, fitted: Fitted, min_db: float | None = None) -> Coded:
    """Code fitted networks; a quality in excess of `min_db` may be lost."""
    network = fitted.network
    if job.method is not None:
        network, plans = by_method(job, job.method, network, fitted.params)
    else:
        plans = _plans(job, fitted, min_db)
    return file_with(job, network, plans, fitted.quality, fitted.interrupted, fitted.notes)


def file_with(
    job: Job,
    network: Field,
    plans: list[Plan],
    fit_quality: float,
    interrupted: bool = False,
    notes: tuple[str, ...] = (),
) -> Coded:
    """The file of coded networks, with its quality and remarks."""
    job.progress.start("check", 0)
    blob, quality = file_of(job.signal, network, plans, job.base, job.planes, job.metadata)
    sizes = sizes_by_part(plans, job.spec.side, blob, job.planes, job.metadata)
    return Coded(network, blob, quality, fit_quality, sizes, interrupted, notes)


def by_method(job: Job, method: Method, network: Field, fitted: Sequence[Params]) -> tuple[Field, list[Plan]]:
    """The networks as coded by a method, and their field: pruning makes them narrower."""
    trained, plans = network, []
    task_of = partial(Task, effort=job.preset.effort, progress=job.progress, base=job.base)
    for number, (part, params) in enumerate(zip(job.signal.parts, fitted), 1):
        job.progress.start("code" + job.mark(number - 1), 0)
        task = task_of(trained, params, part, job.seed, job.device, job.max_drop)
        if method.finetune is not None:
            task = task.with_params(method.finetune(task))
        coded = method.code(task)
        if number > 1 and (coded.field or task.field) != network:
            raise InputError(f"method {method.name}: makes another network of each block; give a signal in one piece")
        network = coded.field or task.field
        plans.append(coded.plan)
    return network, plans


def _plans(job: Job, fitted: Fitted, min_db: float | None) -> list[Plan]:
    """The plan for the network of each part."""
    if job.preset.paper:
        return [plan_paper(params, job.seed, device=job.device) for params in fitted.params]
    parts, network, budgets = job.signal.parts, fitted.network, fitted.budgets
    # Losses are created again below: each holds a few MB, for many parts more than the signal.
    before = [error_of(network, part, job.samples, job.seed)(params) for part, params in zip(parts, fitted.params)]
    drop = job.max_drop
    if min_db is not None:
        # The excess over the requested quality may be lost; a fit without error counts as `NO_LOSS`.
        over = min(fitted.quality, decibels(NO_LOSS)) - min_db - _MARGIN
        drop = over if over > 0 else drop
    # The quality is over all parts together: each may add the same error, regardless of its amplitude.
    added = max(float(np.mean(before)), NO_LOSS) * (10 ** (drop / 10) - 1)
    plans = []
    for number, (part, params) in enumerate(zip(parts, fitted.params)):
        job.progress.start("code" + job.mark(number), 0)
        limit = max(before[number], NO_LOSS) + added
        planned = partial(_planned, job, network, part, fitted.steps, limit, budgets[number])
        coded = planned(params)
        if job.preset.refit and budgets[number] is None and not job.rated:
            coded = _refitted(job, network, part, params, coded, planned)
        plans.append(coded)
    return plans


def _planned(
    job: Job, network: Field, part: Part, steps: int, limit: float, budget: int | None, params: Params
) -> Plan:
    """The plan for the network of one part, within a loss or a byte budget."""
    rounding = _rounding(job, network, part, steps)
    return plan(
        params,
        loss=error_of(network, part, job.samples, job.seed),
        limit=limit,
        probe=error_of(network, part, PROBE_SAMPLES, job.seed),
        max_bytes=budget,
        dictionaries=() if job.planes else job.preset.dictionaries,
        trellis=not job.planes,
        rounder=rounding if rounding is not None and rounding.effort.steps else None,
        felt=None if rounding is None else rounding.felt(params),
        seed=job.seed,
        device=job.device,
        progress=job.progress.update,
    )


def _refitted(
    job: Job, network: Field, part: Part, params: Params, coded: Plan, planned: Callable[[Params], Plan]
) -> Plan:
    """The plan after further training for fewer bytes, if it is smaller at the same loss; else the given plan."""
    steps = Steps(job.progress, "refit", part.decibels)
    begun = trainable_of(network, part)
    params = refit(begun, part, params, coded.bytes, seed=job.seed, device=job.device, progress=steps)
    job.progress.start("code", 0)
    try:
        return min(coded, planned(params), key=lambda plan: plan.bytes)
    except InputError:  # not within the loss
        return coded


def _rounding(job: Job, network: Field, part: Part, steps: int) -> "Rounding | None":
    """Rounding by the outputs, with steps in proportion to those of the fit; None without rounding."""
    if job.preset.rounding is None or job.bits is not None:  # networks trained for a rate already have integers
        return None
    from sinr_codec.fit.rounding import Effort, rounding_for

    effort = Effort(**job.preset.rounding)
    effort = replace(effort, steps=min(effort.steps, steps // _FIT_STEPS_A_ROUNDING))
    return rounding_for(trainable_of(network, part), part, effort, job.seed, job.device)
