"""Fields trained through a map of their parameters, such as a mask, rounding, or a sparse code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from sinr_codec.fields.base import Trainable

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Through:
    """A field for `fit` whose weights are a function of the trained numbers.

    `params` of `fit` are the initial numbers, and its result holds the trained ones.

    Attributes
    ----------
    field
        The network.
    weights
        ``weights(numbers) -> parameters of the network``, differentiable, on torch tensors. Its constants must be on
        the device of the fit.
    """

    field: Trainable
    weights: Callable[[Tensors], Tensors]

    @property
    def in_features(self) -> int:
        """Those of the network."""
        return self.field.in_features

    @property
    def out_features(self) -> int:
        """Those of the network."""
        return self.field.out_features

    @property
    def num_params(self) -> int:
        """Those of the network, on which the work depends."""
        return self.field.num_params

    def check(self, params: Mapping[str, NDArray[Any]]) -> None:
        """Accept any numbers."""

    def function(self, xp: ModuleType, device: Any = None) -> Callable[[Any, Any], Any]:
        """``f(numbers, coords) -> values``."""
        network, weights = self.field.function(xp, device), self.weights
        return lambda numbers, coords: network(weights(numbers), coords)


def round_through(x: Tensor, step: float | Tensor) -> Tensor:
    """The nearest multiple of `step`, with the gradient of x itself (straight-through estimator)."""
    return x + (step * (x / step).round() - x).detach()
