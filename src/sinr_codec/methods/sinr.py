"""SINR (Jayasundara et al. 2025): weight vectors as sparse codes in a random dictionary that nobody sends."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sinr_codec.coding.plan import PAPER_BITS, PAPER_K2, plan_paper
from sinr_codec.coding.tensor import Coding, Sparse
from sinr_codec.methods.base import Coded, Params, Task
from sinr_codec.methods.direct import Refined, plan_for
from sinr_codec.packed import decibels

DICTIONARIES, LARGE = (1024, 8192), (PAPER_K2,)
"""Sizes k2 that are tried where the code is planned. Larger ones take long and are seldom better, but with s below
k1 / 2 they alone keep the quality of wide networks, and of some tiny ones.
"""
WIDE = 100
"""Neurons of a network for which the smaller ones need not be tried."""


@dataclass(frozen=True)
class Published:
    """SINR as published: OMP with s from the width, 16-bit min-max quantiser, Brotli (sections 3 and 4).

    A network narrower than 50 neurons has its matrices flattened (section 3.3.2); `flatten` does it to all. The paper
    prints neither k2 nor s: the defaults are those that give its file sizes.
    """

    k2: int = PAPER_K2
    s: int | None = None
    kind: str = "gaussian"
    bits: int = PAPER_BITS
    flatten: bool = False
    seed: int | None = None

    def __call__(self, task: Task) -> Coded:
        """Code a network."""
        seed = task.seed if self.seed is None else self.seed
        coded = plan_paper(task.params, seed, self.k2, self.s, kind=self.kind, bits=self.bits, flatten=self.flatten)
        sparse = [c for c in coded.codings.values() if isinstance(c, Sparse)]
        return Coded(
            coded, figures={"s": max((c.s for c in sparse), default=0), "sent": sent(task.params, coded.codings)}
        )


def planned(task: Task) -> Coded:
    """Hidden matrices by sparse codes alone, coded as well as we know how: the fewest bytes at published quality."""
    drop = published_drop(task)
    narrow = max((w.size for w in task.params.values() if w.ndim == 1), default=0) <= WIDE
    for dictionaries in (DICTIONARIES, LARGE) if narrow else (LARGE,):
        found = plan_for(replace(task, max_drop=drop), sparse=True, dictionaries=dictionaries)
        if any(isinstance(coding, Sparse) for coding in found.codings.values()):
            break
    return Coded(found, figures={"drop": drop})


def scalar(task: Task) -> Coded:
    """No dictionary at all: the fewest bytes of quantised weights at the quality that SINR as published has."""
    drop = published_drop(task)
    return Coded(plan_for(replace(task, max_drop=drop)), figures={"drop": drop})


def published_drop(task: Task) -> float:
    """What SINR as published loses on a network, in dB; `task.max_drop` where it loses less."""
    if "published drop" not in task.known:
        error = task.error()
        task.known["published drop"] = decibels(error(task.params)) - decibels(error(Published()(task).plan.params))
    return max(task.known["published drop"], task.max_drop)


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
