"""Networks whose layers are shifted by a few latent numbers (COIN++, Dupont et al. 2022; functa, 2022)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, LimitError, MalformedError
from sinr_codec.fields.mlp import MAX_PARAMS, MLP

Params = Mapping[str, Any]

LATENTS = "latents"
"""Name of the numbers that one signal has of its own."""
MODULATION = "modulation.weight"
"""Name of the map from them to shifts."""
MAX_LATENTS = 1 << 14


@dataclass(frozen=True)
class Modulated:
    """An MLP that all signals share, and a linear map from latents z (d,) to a shift of each hidden neuron.

    A layer is ``f(gain (W x + b + M z))`` (COIN++, sections 2.2 and A.1); the output layer is not shifted. M has no bias,
    which would do what b does.

    Parameters
    ----------
    mlp
        The network; its activation must be real.
    latents
        Number d of latents.

    Raises
    ------
    InputError
        A complex activation, or no latents.
    """

    mlp: MLP
    latents: int

    ID: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if self.mlp.activation.COMPLEX:
            raise InputError("modulations: expected a real activation")
        if type(self.latents) is not int or not 1 <= self.latents <= MAX_LATENTS:
            raise InputError(f"modulations: latents must be an integer in [1, {MAX_LATENTS}], got {self.latents!r}")

    @property
    def in_features(self) -> int:
        """Number of coordinates a."""
        return self.mlp.in_features

    @property
    def out_features(self) -> int:
        """Number of values b."""
        return self.mlp.out_features

    @property
    def width(self) -> int:
        """Neurons a hidden layer."""
        return self.mlp.width

    @property
    def shifts(self) -> int:
        """Neurons that are shifted: those of all layers but the last."""
        return self.mlp.width * (self.mlp.layers - 1)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name of what signals share: the MLP's, then M (shifts, d)."""
        return self.mlp.shapes() | {MODULATION: (self.shifts, self.latents)}

    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Dtypes by name: float32."""
        return dict.fromkeys(self.shapes(), np.dtype(np.float32))

    @property
    def num_params(self) -> int:
        """Numbers that signals share."""
        return self.mlp.num_params + self.shifts * self.latents

    def init(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Fresh parameters: those of the MLP, and M as PyTorch initialises a linear layer."""
        bound = 1 / math.sqrt(self.latents)
        return {
            **self.mlp.init(rng),
            MODULATION: rng.uniform(-bound, bound, (self.shifts, self.latents)).astype(np.float32),
        }

    def function(self, xp: ModuleType, device: Any = None) -> Callable[[Params, Any], Any]:
        """``f(params, coords) -> values``, where `params` hold the latents (d,), or one set a sample, (n, d)."""
        apply, width = self.mlp.function(xp, device), self.mlp.width

        def f(params: Params, coords: Any) -> Any:
            shifts = xp.matmul(params[LATENTS], params[MODULATION].mT)
            biases = {
                f"layers.{i}.bias": params[f"layers.{i}.bias"] + shifts[..., i * width : (i + 1) * width]
                for i in range(self.mlp.layers - 1)
            }
            return apply({**params, **biases}, coords)

        return f

    def describe(self) -> str:
        """One line for people."""
        return f"{self.mlp.describe()}, shifted by {self.latents} latents"

    # -- the header of a file

    def to_header(self) -> list[Any]:
        """``[3, d, MLP]``."""
        return [self.ID, self.latents, self.mlp.to_header()]

    @classmethod
    def from_header(cls, value: object, max_params: int = MAX_PARAMS) -> Modulated:
        """Inverse of `to_header`; nothing is allocated. Errors as those of `MLP.from_header`."""
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) != 3 or value[0] != cls.ID:
            raise MalformedError("field header: a modulated network is a list of its id, a number of latents and an MLP")
        mlp = MLP.from_header(value[2], max_params)
        try:
            modulated = cls(mlp, value[1])
        except InputError as error:
            raise MalformedError(f"field header: {error}") from error
        if modulated.num_params > max_params:
            raise LimitError(f"field header: {modulated.num_params} parameters are more than {max_params}")
        return modulated
