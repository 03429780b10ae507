"""Quantisation of the weights without a transform: the protocol of SINR's paper, and planned codings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sinr_codec.coding.assembled import Plan, assemble
from sinr_codec.coding.tensor import Coding, Direct, Raw, is_lossy
from sinr_codec.methods.base import PROBE_SAMPLES, Coded, Task
from sinr_codec.methods.refine import refine, refit
from sinr_codec.planning.paper import PAPER_BITS
from sinr_codec.planning.plan import plan
from sinr_codec.presets import PRESETS
from sinr_codec.quality import decibels

if TYPE_CHECKING:
    from sinr_codec.fit.rounding import Rounding


def minmax(task: Task) -> Coded:
    """16-bit min-max quantiser per tensor, then Brotli: the protocol of SINR's paper (section 4.1)."""
    codings: dict[str, Coding] = {
        name: Direct(bits=PAPER_BITS, paper=True) if is_lossy(w) else Raw() for name, w in task.params.items()
    }
    return Coded(assemble(task.params, codings))


def planned(task: Task) -> Coded:
    """Step sizes by the sensitivity of each tensor, and an entropy coder: the fewest bytes within `Task.limit`."""
    return Coded(plan_for(task))


def trellis(task: Task) -> Coded:
    """The same, with trellis-coded quantisation of tensors where it is cheaper."""
    return Coded(plan_for(task, trellis=True))


@dataclass(frozen=True)
class Rounded:
    """The same, with levels chosen for the outputs of the network: what `encode` does, at the effort of a preset."""

    preset: str

    def __call__(self, task: Task) -> Coded:
        """Code a network."""
        return Coded(plan_for(task, trellis=True, rounder=rounder_for(task, self.preset)))


@dataclass(frozen=True)
class Refitted:
    """Trained further for fewer bytes than `Rounded` takes, within the same loss; unchanged if that does not help."""

    preset: str

    def __call__(self, task: Task) -> Coded:
        """Code a network."""
        error = task.error()
        limit = task.limit(error(task.params))
        start = plan_for(task, trellis=True, rounder=rounder_for(task, self.preset), limit=limit)
        network, effort = (task.trainable, task.part, task.params), task.effort
        params = refit(*network, start.bytes, effort=effort, seed=task.seed, device=task.device)
        after = error(params)
        figures = {"unrefined_bytes": start.bytes, "refitted_db": decibels(after)}
        if after < limit:
            again = task.with_params(params)
            better = plan_for(again, trellis=True, rounder=rounder_for(again, self.preset), limit=limit)
            start = min(start, better, key=lambda plan: plan.bytes)
        return Coded(start, figures=figures)


def rounder_for(task: Task, preset: str) -> Rounding:
    """Output-aware rounding for a task's network, at the effort of a preset."""
    from sinr_codec.fit.rounding import Effort, rounding_for

    effort = Effort(**(PRESETS[preset].rounding or {}))
    return rounding_for(task.trainable, task.part, effort, task.seed, task.device)


def refined(bits: float) -> Refined:
    """Step sizes for `bits` per parameter, then weights trained on the signal with straight-through rounding."""
    return Refined(bits)


@dataclass(frozen=True)
class Refined:
    """Planned for a size, then trained further; direct, or sparse with dictionaries, at equal bytes."""

    bits: float
    dictionaries: tuple[int, ...] = ()

    def __call__(self, task: Task) -> Coded:
        """Code a network."""
        size = int(self.bits * task.field.num_params / 8)
        start = plan_for(task, size, sparse=bool(self.dictionaries), dictionaries=self.dictionaries)
        error = task.error()
        before = error(start.params)
        better, after = refine(task, start, error)
        gain = decibels(after) - decibels(before)
        return Coded(better, figures={"unrefined_bytes": start.bytes, "refinement_db": gain})


def plan_for(
    task: Task,
    max_bytes: int | None = None,
    *,
    sparse: bool = False,
    dictionaries: tuple[int, ...] = (),
    trellis: bool = False,
    rounder: Rounding | None = None,
    limit: float | None = None,
) -> Plan:
    """A plan: the fewest bytes within a limit (default `task.limit`), or the least loss in `max_bytes`."""
    error = task.error()
    return plan(
        task.params,
        error,
        task.limit(error(task.params)) if limit is None else limit,
        probe=task.error(PROBE_SAMPLES),
        max_bytes=max_bytes,
        dictionaries=dictionaries,
        sparse_only=sparse,
        trellis=trellis,
        rounder=rounder,
        felt=None if rounder is None else rounder.felt(task.params),
        seed=task.seed,
        device=task.device,
        progress=task.progress.update,
    )
