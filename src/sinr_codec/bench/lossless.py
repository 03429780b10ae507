"""What a solid costs without loss: the yardstick beside every occupancy network.

A bilevel volume is coded voxel by voxel in C order by a context model: the 16 nearest voxels that the decoder has
already (6 of the slice, 9 of the slice before, 1 of the one before that) choose one of 65,536 adaptive models, each a
Krichevsky-Trofimov estimator, whose probabilities drive an arithmetic coder. The bytes of that coder are known
without running it: what a KT estimator spends on n0 zeros and n1 ones does not depend on their order,

    bits = -log2( G(n0 + 1/2) G(n1 + 1/2) / (pi G(n0 + n1 + 1)) ),

so counting the voxels of each context is enough. An arithmetic coder adds at most two bytes; the sizes of the volume
and the order of its axes take 7. All six orders are tried.
"""

import itertools
from math import log2, pi
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.types import Array

# (slice, row, column) offsets of the neighbours, all before the voxel itself in C order.
TEMPLATE: Final = (
    *((0, 0, -1), (0, 0, -2), (0, -1, -1), (0, -1, 0), (0, -1, 1), (0, -2, 0)),
    *((-1, y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)),
    (-2, 0, 0),
)
HEADER: Final = 9


def counts(volume: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Zeros and ones of each context, int64 (65536, 2); outside the volume is 0."""
    padded = np.pad(volume, ((2, 0), (2, 1), (2, 1))).astype(np.uint16)
    z, y, x = volume.shape
    found = np.zeros(2 << len(TEMPLATE), np.int64)
    for i in range(z):
        context: Array = np.zeros((y, x), np.uint32)
        for dz, dy, dx in (*TEMPLATE, (0, 0, 0)):
            context = context << 1 | padded[i + 2 + dz, 2 + dy : 2 + dy + y, 2 + dx : 2 + dx + x]
        found += np.bincount(context.ravel(), minlength=len(found))
    return found.reshape(-1, 2)


def code_bits(found: Array) -> float:
    """Bits that KT estimators, one a context, spend on so many zeros and ones."""
    from scipy.special import gammaln

    zeros, ones = found[found.sum(1) > 0].T
    nats = gammaln(zeros + 0.5) + gammaln(ones + 0.5) - gammaln(zeros + ones + 1)
    return float(-nats.sum() / np.log(2) + len(zeros) * log2(pi))


def lossless_bytes(volume: NDArray[np.bool_]) -> int:
    """Size of the whole code of a bool volume (X, Y, Z) in the best order of its axes."""
    orders = itertools.permutations(range(3))
    return HEADER + int(np.ceil(min(code_bits(counts(volume.transpose(order))) for order in orders) / 8))
