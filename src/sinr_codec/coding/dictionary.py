"""Integer dictionaries that no file holds: SINR's random matrix A (paper, section 3.2), and cosines.

Every entry of a random dictionary comes from raw words of the counter-based generator Philox4x64-10 (Salmon et al.,
"Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011), so any language can rebuild any atom on its own;
docs/format.md has the algorithm and known answers. The key is (seed, kind), the counter is the number of a block of
four words, and every atom begins at its own block. An atom does not depend on k2: a small dictionary is the beginning
of a larger one.

The cosines suit numbers on a grid whose neighbours are similar, such as the modulations of the patches of a picture: an
atom is an oscillation over the grid.
"""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sinr_codec.errors import InputError, LimitError, quoted
from sinr_codec.types import Ints

KINDS: Final[dict[str, int]] = {"gaussian": 0, "sign": 1, "hadamard": 2, "dct": 3}

MAX_ENTRIES: Final = 2**28
"""Largest number of entries (bytes) of a dictionary, or of a selection of atoms, in memory."""
MAX_ATOMS: Final = 2**24
"""Largest k2."""
MAX_LENGTH: Final = 2**24
"""Largest k1."""
_COSINE_SCALE: Final = 127
MAX_MAGNITUDES: Final = {"gaussian": 32, "sign": 32, "hadamard": 32, "dct": _COSINE_SCALE}
"""Largest magnitude of an entry, which bounds sums over atoms."""
MEAN_SQUARES: Final = {"gaussian": 16.0, "sign": 1.0, "hadamard": 1.0, "dct": _COSINE_SCALE**2 / 4}
"""Mean square of the entries of most atoms."""

_WORDS_PER_BLOCK: Final = 4
_CHUNK_WORDS: Final = 1 << 20  # 8 MiB of raw words, or of int8 entries, at a time
_JUMP_WORDS: Final = 2048  # moving the counter costs about as much as drawing this many words

_PI: Final = 3141592653589793238462643383279502884197169399375105820974944592  # times 10^63
_MAX_COSINES: Final = 2**16  # atoms of a grid, and so cosines of a side: some seconds
_COSINE_BITS: Final = 24  # of the cosines whose products are rounded to entries: 127 products stay below 2^63


def make_dictionary(kind: str, seed: int, k1: int, k2: int) -> NDArray[np.int8]:
    """Build a whole dictionary A.

    Parameters
    ----------
    kind : {"gaussian", "sign", "hadamard", "dct"}
        `gaussian`: popcount of a 64-bit word, minus 32: the central limit theorem as the paper uses it, mean
        0 and standard deviation 4. `sign`: +1 or -1 from single bits. `hadamard`: blocks diag(sign) H, where
        H is the Sylvester matrix whose order is the next power of two, with its rows cut to k1. `dct`: the
        cosines of the two-dimensional DCT-II over a grid in row-major order, or f times as many in each
        direction (Ahmed, Natarajan, Rao 1974; overcomplete as in Aharon, Elad, Bruckstein 2006).
    seed : int
        0 <= seed < 2^64; for `dct`, which has no seed, the number of columns of the grid.
    k1, k2 : int
        Length of an atom and number of atoms, both at least 1, k1 * k2 <= MAX_ENTRIES. For `dct` k1 is a number of
        whole rows of the grid, and k2 = f^2 k1 <= 2^16 with an integer f.

    Returns
    -------
    int8 array (k1, k2) in Fortran order: the atoms are its columns and each is contiguous.

    Raises
    ------
    InputError
        An unknown kind, a seed or size out of range, or sizes that no grid has.
    LimitError
        The dictionary would be larger than MAX_ENTRIES.
    """
    _check(kind, seed, k1, k2)
    _check_entries(k1, k2)
    return _rows(kind, seed, k1, k2, np.arange(k2)).T


def atoms(kind: str, seed: int, k1: int, k2: int, indices: ArrayLike) -> NDArray[np.int8]:
    """Build selected columns of a dictionary.

    Parameters
    ----------
    kind, seed, k1, k2
        As in `make_dictionary`; k1 * k2 may exceed MAX_ENTRIES here, k1 * len(indices) may not.
    indices : integers (m,)
        Numbers of atoms in [0, k2), in any order, repeats allowed.

    Returns
    -------
    int8 array (k1, m) in Fortran order, equal to `make_dictionary(kind, seed, k1, k2)[:, indices]`.

    Raises
    ------
    InputError, LimitError
        As in `make_dictionary`, and for indices out of range.
    """
    _check(kind, seed, k1, k2)
    wanted = np.asarray(indices)
    if wanted.ndim != 1 or (wanted.size and wanted.dtype.kind not in "iu"):
        raise InputError(f"indices: expected a vector of integers, got {wanted.dtype} {wanted.shape}")
    if wanted.size and (wanted.min() < 0 or wanted.max() >= k2):
        raise InputError(f"indices: atoms {wanted.min()} to {wanted.max()}, expected 0 to {k2 - 1}")
    _check_entries(k1, wanted.size)
    numbers, inverse = np.unique(wanted.astype(np.int64), return_inverse=True)
    return _rows(kind, seed, k1, k2, numbers)[inverse].T


def fits(kind: str, seed: int, k1: int, k2: int) -> bool:
    """Whether a dictionary of these sizes exists; a `dct` has whole rows of a grid, and f^2 k1 atoms."""
    if kind != "dct":
        return True
    return seed > 0 and k1 % seed == 0 and k2 % k1 == 0 and math.isqrt(k2 // k1) ** 2 == k2 // k1 and k2 <= _MAX_COSINES


def _check(kind: str, seed: int, k1: int, k2: int) -> None:
    if kind not in KINDS:
        raise InputError(f"kind: unknown dictionary {quoted(kind)}, expected one of {', '.join(KINDS)}")
    if not 0 <= seed < 2**64:
        raise InputError(f"seed: {seed} is not in [0, 2^64)")
    if k1 < 1 or k2 < 1:
        raise InputError(f"dictionary: expected k1 >= 1 and k2 >= 1, got {k1} x {k2}")
    if k1 > MAX_LENGTH or k2 > MAX_ATOMS:
        raise LimitError(f"dictionary: {k1} x {k2}, expected k1 <= {MAX_LENGTH} and k2 <= {MAX_ATOMS}")
    if not fits(kind, seed, k1, k2):
        raise InputError(
            f"dct: expected whole rows of a grid of {seed} columns and k2 = f^2 k1 <= 65536, got {k1} x {k2}"
        )


def _check_entries(k1: int, count: int) -> None:
    if k1 * count > MAX_ENTRIES:
        raise LimitError(f"dictionary: {k1} x {count} entries, expected at most {MAX_ENTRIES}")


def _rows(kind: str, seed: int, k1: int, k2: int, numbers: Ints) -> NDArray[np.int8]:
    """The atoms of increasing `numbers` as rows: int8 (len(numbers), k1)."""
    if kind == "hadamard":
        return _hadamard(seed, k1, numbers)
    if kind == "dct":
        return _dct(seed, k1, k2, numbers)
    gaussian = kind == "gaussian"
    words = k1 if gaussian else -(-k1 // 64)
    rows = np.empty((numbers.size, k1), np.int8)
    done = 0
    for drawn in _draw(kind, seed, words, numbers):
        rows[done : done + len(drawn)] = _popcounts(drawn) if gaussian else _signs(drawn, k1)
        done += len(drawn)
    return rows


def _draw(kind: str, seed: int, words: int, numbers: Ints) -> Iterator[NDArray[np.uint64]]:
    """Raw words of the atoms of increasing `numbers`, some atoms at a time: uint64 (some, words).

    Neighbours are drawn in one go with what lies between them, as long as that is cheaper than to move the
    counter and the draw stays below a chunk.
    """
    blocks = -(-words // _WORDS_PER_BLOCK)
    stride = blocks * _WORDS_PER_BLOCK
    apart = np.diff(numbers) > max(1, _JUMP_WORDS // stride)
    crossing = np.diff(numbers // max(1, _CHUNK_WORDS // stride)) > 0
    bounds = [0, *(np.flatnonzero(apart | crossing) + 1).tolist(), numbers.size]
    # NumPy adds one to the counter before it makes a block, so begin one before block 0.
    generator = np.random.Philox(key=np.array([seed, KINDS[kind]], np.uint64), counter=2**256 - 1)
    position = 0
    for begin, end in pairwise(bounds):
        if begin == end:
            continue
        first, last = int(numbers[begin]), int(numbers[end - 1])
        generator.advance((first - position) * blocks)
        position = last + 1
        drawn = generator.random_raw((position - first) * stride).reshape(-1, stride)
        yield drawn[numbers[begin:end] - first, :words] if end - begin < len(drawn) else drawn[:, :words]


def _popcounts(words: NDArray[np.uint64]) -> NDArray[np.int8]:
    """Entry i is the number of ones of word i, minus 32."""
    return np.bitwise_count(words).view(np.int8) - np.int8(32)


def _signs(words: NDArray[np.uint64], k1: int) -> NDArray[np.int8]:
    """Entry i is 1 - 2 * (bit i mod 64 of word i div 64), where bit 0 is the lowest."""
    bits = np.unpackbits(np.ascontiguousarray(words, "<u8").view(np.uint8), axis=1, count=k1, bitorder="little")
    return np.int8(1) - np.int8(2) * bits.view(np.int8)


def _hadamard(seed: int, k1: int, numbers: Ints) -> NDArray[np.int8]:
    """Entry i of atom b * order + h is sign_b[i] * (-1)^popcount(i AND h); order = 2^ceil(log2(k1))."""
    order = 1 << (k1 - 1).bit_length()
    rows = np.empty((numbers.size, k1), np.int8)
    i = np.arange(k1, dtype=np.uint32)
    step = max(1, _CHUNK_WORDS // k1)
    for begin in range(0, numbers.size, step):
        part = numbers[begin : begin + step]
        blocks, inverse = np.unique(part // order, return_inverse=True)
        signs = [_signs(words, k1) for words in _draw("hadamard", seed, -(-k1 // 64), blocks)]
        odd = np.bitwise_count((part % order).astype(np.uint32)[:, None] & i) & np.uint8(1)
        rows[begin : begin + step] = np.int8(1) - np.int8(2) * odd.view(np.int8)
        rows[begin : begin + step] *= np.concatenate(signs)[inverse]
    return rows


def _dct(columns: int, k1: int, k2: int, numbers: Ints) -> NDArray[np.int8]:
    """Entry y * columns + x of atom u * V + v is round(127 cos(pi u (2y + 1) / 2U) cos(pi v (2x + 1) / 2V)).

    U and V are f times the rows and columns. The cosines are integers over 2^24, so rounding is exact; halves go up.
    """
    f = math.isqrt(k2 // k1)
    y, x = np.arange(k1 // columns), np.arange(columns)
    along_y, along_x = _turn(f * len(y)), _turn(f * len(x))
    rows = np.empty((numbers.size, k1), np.int8)
    step = max(1, _CHUNK_WORDS // k1)
    for begin in range(0, numbers.size, step):
        u, v = np.divmod(numbers[begin : begin + step], f * columns)
        cosines_y = along_y[np.outer(u, 2 * y + 1) % len(along_y)]
        cosines_x = along_x[np.outer(v, 2 * x + 1) % len(along_x)]
        products = cosines_y[:, :, None] * cosines_x[:, None, :]
        entries = (_COSINE_SCALE * products + (1 << (2 * _COSINE_BITS - 1))) >> (2 * _COSINE_BITS)
        rows[begin : begin + step] = entries.reshape(-1, k1)
    return rows


@lru_cache(maxsize=8)
def _turn(count: int) -> Ints:
    """round(2^24 cos(pi j / 2 count)) for 0 <= j < 4 count."""
    quarter = [_cosine(j, 4 * count) for j in range(count + 1)]
    half = quarter + [-c for c in quarter[-2::-1]]
    return np.array(half + half[-2:0:-1])


def _cosine(j: int, turn: int) -> int:
    """round(2^24 cos(2 pi j / turn)), 0 <= j <= turn / 4, by the series in integers over 2^160."""
    one = 1 << 160
    angle = (2 * _PI * one // 10**63) * j // turn
    square = angle * angle >> 160
    term, total, n = one, one, 0
    while term:
        n += 2
        term = (term * square >> 160) // (n * (n - 1))
        total += -term if n % 4 == 2 else term
    shift = 160 - _COSINE_BITS
    return (total + (1 << (shift - 1))) >> shift
