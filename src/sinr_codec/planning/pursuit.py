"""Sparse codes of weight tensors by orthogonal matching pursuit (paper, section 4.2)."""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.coding.dtypes import real
from sinr_codec.coding.sparse import Layout, SparseCode, to_vectors
from sinr_codec.coding.tensor import Coding, Sparse, is_lossy
from sinr_codec.devices import CPU
from sinr_codec.errors import InputError
from sinr_codec.planning.omp import omp, solve
from sinr_codec.types import Array, Floats

_TRIAL: Final = 16  # vectors in the trial of a dictionary
_TRIAL_ATOMS: Final = (8, 64)  # least and most atoms of each
_TAKEN: Final = 1.3  # times the gain on noise from which a dictionary may pay; trained weights have 0.9 to 1.25


def paper_sparsity(k1: int) -> int:
    """Atoms a vector of length k1 as in the paper: a rule of k1 alone, with 2s < k1 (sections 3.2 and 4.2).

    The published regression s(k1) is not in the text. This one is measured (`sinr bench sparsity`): with k2 = 65,536 it
    keeps the hidden layers of a trained network within 0.15 dB, on the Kodak pictures and for widths of 32 (flattened),
    64, 96 and 128; and it reproduces the sizes of Figure 3. 0 for k1 <= 2, where no s satisfies the constraint.

    Signal to error of unquantised codes, alike for Gaussian noise, for a trained SIREN's hidden weights and for all
    kinds of dictionary: k1 = 64 and 128: 43 dB, 256: 41 dB, a flattened 32 x 32 matrix (1,024): 34 dB. The longer the
    vector, the less a fixed number of index bits buys.
    """
    return 41 * k1 // 100


def sparse_encode(
    w: ArrayLike,
    *,
    kind: str,
    seed: int,
    k2: int,
    layout: Layout,
    s: int | None = None,
    tol: float | None = None,
    device: str = CPU,
) -> SparseCode:
    """Code a weight tensor by orthogonal matching pursuit (section 4.2).

    Parameters
    ----------
    w : real tensor
        Finite.
    kind, seed, k2
        The dictionary, see `dictionary.make_dictionary`.
    layout : Layout
        Which entries make one vector.
    s : int, optional
        Atoms a vector, at most min(k1, k2). With `tol` alone, the most that 2s < k1 allows.
    tol : float, optional
        A vector stops as soon as the norm of what is left is at most `tol` times its own.
    device : str
        Where the pursuit works, see `omp.omp`.

    Raises
    ------
    InputError
        Neither s nor tol is given, or an argument out of range.
    LimitError
        The dictionary would be too large.
    """
    vectors = to_vectors(w, layout)
    k1, n = vectors.shape
    if s is None:
        if tol is None:
            raise InputError("sparse_encode: expected s, tol or both")
        s = min(max(k1 - 1, 0) // 2, k2)
    if vectors.size == 0:
        empty = np.full((s, n), -1, np.int64)
        return SparseCode(kind, seed, k2, layout, empty, np.zeros((s, n)))
    indices, values = omp(make_dictionary(kind, seed, k1, k2), vectors, s, tol, device)
    return SparseCode(kind, seed, k2, layout, indices, values)


def code_for(w: Array, coding: Coding, device: str = CPU) -> SparseCode | None:
    """The sparse code that `encode_tensor` needs for a tensor; None for other codings, and for tensors stored raw.

    Raises what `sparse_encode` raises.
    """
    if not isinstance(coding, Sparse) or not is_lossy(w):
        return None
    return sparse_encode(
        real(w), kind=coding.kind, seed=coding.seed, k2=coding.k2, layout=coding.layout, s=coding.s, device=device
    )


def as_noise(vectors: Floats, k2: int, seed: int, device: str) -> bool:
    """Whether a dictionary fits vectors (k1, n) no better than noise, so that no sparse code of them pays.

    On noise, each atom takes 2 ln k2 / k1 of the remaining energy. The atoms of a truly sparse vector stand out if each
    holds more, so there are fewer than k1 / (2 ln k2) of them, and the first k1 / 16 steps of a pursuit show it. The
    vectors of a matrix are similar, so a few of them suffice.
    """
    k1, n = vectors.shape
    few = vectors[:, np.linspace(0, n - 1, min(n, _TRIAL)).astype(int)]
    noise = np.random.default_rng(seed).standard_normal(few.shape)
    dictionary, both = make_dictionary("sign", seed, k1, k2), np.concatenate([few, noise], axis=1)
    least, most = _TRIAL_ATOMS
    indices, values = omp(dictionary, both, min(max(k1 // 16, least), most, (k1 - 1) // 2), device=device)
    left = both - np.einsum("ksn,sn->kn", dictionary[:, indices].astype(np.float64), values)
    energy = np.square(both).sum(0)
    shares = np.divide(np.square(left).sum(0), energy, out=np.ones(len(energy)), where=energy > 0)
    taken = -np.log(np.maximum(shares, 1e-12))
    return bool(taken[: few.shape[1]].mean() < _TAKEN * taken[few.shape[1] :].mean())


def sparse_codes(vectors: Floats, k2: int, seed: int, layout: Layout, device: str) -> list[SparseCode]:
    """Codes of vectors (k1, n) with a few sparsities, from one pursuit: the first atoms of the longest code."""
    most = (len(vectors) - 1) // 2
    dictionary = make_dictionary("sign", seed, len(vectors), k2)
    indices, _ = omp(dictionary, vectors, most, device=device)
    sparsities = sorted({most // 2, 3 * most // 4, 7 * most // 8, paper_sparsity(len(vectors)), most} - {0})
    return [
        SparseCode("sign", seed, k2, layout, indices[:s], solve(dictionary, vectors, indices[:s])) for s in sparsities
    ]
