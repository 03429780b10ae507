"""SINR (Jayasundara et al. 2025): weight vectors as sparse codes in a random dictionary that nobody sends."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from sinr_codec.coding.tensor import Coding, Sparse
from sinr_codec.methods.base import Coded, Task
from sinr_codec.methods.direct import Refined, plan_for, rounder_for
from sinr_codec.planning.paper import PAPER_BITS, PAPER_K2, plan_paper
from sinr_codec.quality import decibels
from sinr_codec.types import Params

DICTIONARIES: Final = (1024, 8192)
"""Sizes k2 that are tried where codes are refined: after it, small dictionaries are no worse than large ones."""


@dataclass(frozen=True)
class Published:
    """SINR as published: OMP with s from the width, 16-bit min-max quantiser, Brotli (sections 3 and 4).

    A network narrower than 50 neurons has its matrices flattened (section 3.3.2); `flatten` does it to all. The paper
    prints neither k2 nor s: the defaults are those that give its file sizes. With `hidden`, only the k x k matrices
    are coded, which the paper's count of parameters (section 3.3.1) does not say, and which saves the quality.
    """

    k2: int = PAPER_K2
    s: int | None = None
    kind: str = "gaussian"
    bits: int = PAPER_BITS
    flatten: bool = False
    hidden: bool = False
    seed: int | None = None

    def __call__(self, task: Task) -> Coded:
        """Code a network."""
        seed = task.seed if self.seed is None else self.seed
        options: dict[str, Any] = {"kind": self.kind, "bits": self.bits, "flatten": self.flatten, "hidden": self.hidden}
        options["device"] = task.device
        code = partial(plan_paper, task.params, seed, self.k2, self.s, **options)
        # variants that differ in what is coded, or how finely, share one pursuit
        pursued = replace(self, hidden=False, bits=PAPER_BITS)
        whole = task.once(pursued, partial(code, hidden=False, bits=PAPER_BITS))
        coded = whole if self == pursued else code(codes=whole.codes)
        sparse = [c for c in coded.codings.values() if isinstance(c, Sparse)]
        return Coded(
            coded, figures={"s": max((c.s for c in sparse), default=0), "sent": sent(task.params, coded.codings)}
        )


def planned(task: Task) -> Coded:
    """Hidden matrices by sparse codes, coded as well as we know how: the fewest bytes within `Task.limit`."""
    return Coded(plan_for(task, sparse=True, dictionaries=(PAPER_K2,)))


def rounded(task: Task) -> Coded:
    """The same, atoms and values chosen for what the network puts out (`fit.rounding`), as direct codings are."""
    options: dict[str, Any] = {"trellis": True, "rounder": rounder_for(task, "balanced")}
    return Coded(plan_for(task, sparse=True, dictionaries=(PAPER_K2,), **options))


def scalar(task: Task) -> Coded:
    """No dictionary at all: the fewest bytes of quantised weights at the quality that SINR as published has."""
    drop = published_drop(task)
    return Coded(plan_for(replace(task, max_drop=drop)), figures={"drop": drop})


def published_drop(task: Task) -> float:
    """What SINR as published loses on a network, in dB; `task.max_drop` where it loses less."""

    def measured() -> float:
        error = task.error()
        return decibels(error(task.params)) - decibels(error(Published()(task).plan.params))

    return max(float(task.once("published drop", measured)), task.max_drop)


def refined(bits: float) -> Refined:
    """Sparse codes for so many bits a parameter, then their values trained on the signal, the atoms kept."""
    return Refined(bits, DICTIONARIES)


def sent(params: Params, codings: Mapping[str, Coding]) -> int:
    """Numbers that are sent: 2s a vector of a sparse matrix, and all of the other tensors (section 3.3.1)."""
    total = 0
    for name, w in params.items():
        coding = codings[name]
        total += 2 * coding.s * coding.layout.dims(w.shape)[1] if isinstance(coding, Sparse) else w.size
    return total
