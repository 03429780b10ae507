"""SINR (Jayasundara et al. 2025): weight vectors as sparse codes in a random dictionary that is not transmitted."""

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
"""Sizes k2 to try before refinement: after it, small dictionaries are no worse than large ones."""


@dataclass(frozen=True)
class Published:
    """SINR as published: OMP with s from the width, 16-bit min-max quantiser, Brotli (sections 3 and 4).

    The matrices of a network narrower than 50 neurons are flattened (section 3.3.2), with `flatten` those of all. The
    paper gives neither k2 nor s; the defaults yield its file sizes. With `hidden`, only the k x k matrices are coded,
    which differs from the paper's count of parameters (section 3.3.1), and preserves the quality.
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
        # variants that differ in the matrices coded, or in their quantisation, share one pursuit
        pursued = replace(self, hidden=False, bits=PAPER_BITS)
        whole = task.once(pursued, partial(code, hidden=False, bits=PAPER_BITS))
        coded = whole if self == pursued else code(codes=whole.codes)
        sparse = [c for c in coded.codings.values() if isinstance(c, Sparse)]
        return Coded(
            coded, figures={"s": max((c.s for c in sparse), default=0), "sent": sent(task.params, coded.codings)}
        )


def planned(task: Task) -> Coded:
    """Hidden matrices as sparse codes under our coder: the fewest bytes within `Task.limit`."""
    return Coded(plan_for(task, sparse=True, dictionaries=(PAPER_K2,)))


def rounded(task: Task) -> Coded:
    """The same, with atoms and values chosen for the outputs of the network (`fit.rounding`)."""
    options: dict[str, Any] = {"trellis": True, "rounder": rounder_for(task, "balanced")}
    return Coded(plan_for(task, sparse=True, dictionaries=(PAPER_K2,), **options))


def scalar(task: Task) -> Coded:
    """No dictionary: the fewest bytes of quantised weights at the quality of SINR as published."""
    drop = published_drop(task)
    return Coded(plan_for(replace(task, max_drop=drop)), figures={"drop": drop})


def published_drop(task: Task) -> float:
    """Loss in dB of SINR as published on a network, at least `task.max_drop`."""

    def measured() -> float:
        error = task.error()
        return decibels(error(task.params)) - decibels(error(Published()(task).plan.params))

    return max(float(task.once("published drop", measured)), task.max_drop)


def refined(bits: float) -> Refined:
    """Sparse codes for `bits` per parameter, whose values are then trained on the signal, with the same atoms."""
    return Refined(bits, DICTIONARIES)


def sent(params: Params, codings: Mapping[str, Coding]) -> int:
    """Count of transmitted numbers: 2s per vector of a sparse matrix, and all of the other tensors (section 3.3.1)."""
    total = 0
    for name, w in params.items():
        coding = codings[name]
        total += 2 * coding.s * coding.layout.dims(w.shape)[1] if isinstance(coding, Sparse) else w.size
    return total
