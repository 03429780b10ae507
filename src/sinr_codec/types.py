"""Types that many modules name."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Params = Mapping[str, Array]
"""The parameters of a network by name; whoever receives them leaves them as they are."""

PathLike = str | os.PathLike[str]
