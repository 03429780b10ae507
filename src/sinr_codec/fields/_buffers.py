"""Arrays that are used again, for evaluations in tiles."""

import threading
from typing import Any

import numpy as np

from sinr_codec.types import Array

# Buffers belong to a thread, not to a network: a file may have hundreds of networks.
_local = threading.local()


def buffer(slot: Any, rows: int, weight: Array) -> Array:
    """A (rows, width) array of the current thread for products with a weight (in, width), anew if the size changed.

    The first layer of a complex network is real, hence the dtype in the key.
    """
    shape = (rows, weight.shape[1])
    buffers: dict[tuple[Any, np.dtype], Array] = _local.__dict__.setdefault("buffers", {})
    key = (slot, weight.dtype)
    if key not in buffers or buffers[key].shape != shape:
        buffers[key] = np.empty(shape, weight.dtype)
    return buffers[key]
