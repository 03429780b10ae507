"""Types that many modules name."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
AnyArray = Any
"""An array of NumPy or a tensor of PyTorch: code for both finds the namespace in it, or is given one (`xp`)."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Params = Mapping[str, Array]
"""The parameters of a network by name; whoever receives them leaves them as they are."""

Options = Mapping[str, Any]
"""Keyword arguments by name."""

JsonObject = dict[str, Any]
"""An object of JSON."""

Cbor = None | bool | int | float | str | bytes | Sequence["Cbor"] | Mapping[str, "Cbor"] | Mapping[int, "Cbor"]
"""A value of a header."""

Blob = bytes
"""The bytes of a file, for classes whose attribute `bytes` hides the type."""

PathLike = str | os.PathLike[str]
