"""Activations of coordinate networks, each with its initialisation.

An activation acts on an affine layer as ``f(gain * (W x + b))``. The gain (omega0 of a sine, scale of a Gaussian) is
separate from ``f`` so that it can be folded into the few weights instead of being applied to every sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar, Final, Protocol

from sinr_codec.errors import InputError, MalformedError, quoted
from sinr_codec.fields._numbers import compact, id_and_numbers, is_number
from sinr_codec.types import AnyArray


class Activation(Protocol):
    """Interface of the non-linearity in an `MLP`."""

    ID: ClassVar[int]
    #: True if the output, and so every later weight, is complex.
    COMPLEX: ClassVar[bool]

    def gain(self, first: bool) -> float:
        """Factor on ``W x + b`` before `__call__`."""

    def __call__(self, xp: ModuleType, z: AnyArray) -> AnyArray:
        """Apply the function to ``z`` elementwise, in the namespace `xp`."""

    def overwrite(self, xp: ModuleType, z: AnyArray) -> AnyArray:
        """Like `__call__`, but may overwrite ``z`` (NumPy)."""

    def bounds(self, fan_in: int, layer: int, last: bool) -> tuple[float, float]:
        """Half widths of the uniform initial distributions of weights and biases."""

    def numbers(self) -> list[float]:
        """Parameters for the header."""


def _pytorch_bounds(fan_in: int) -> tuple[float, float]:
    """PyTorch's default for a linear layer: U(+-1/sqrt(fan_in)) for weights and biases."""
    return 1.0 / math.sqrt(fan_in), 1.0 / math.sqrt(fan_in)


@dataclass(frozen=True)
class Sine:
    """``sin(omega0 (W x + b))`` (Sitzmann et al. 2020, "SIREN").

    Parameters
    ----------
    omega0
        Frequency factor of the hidden layers, and of the first layer unless `first_omega0` is given.
    first_omega0
        Frequency factor of the first layer.
    """

    omega0: float = 30.0
    first_omega0: float | None = None

    ID: ClassVar[int] = 0
    COMPLEX: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _positive("omega0", self.omega0)
        if self.first_omega0 is not None:
            _positive("first_omega0", self.first_omega0)

    def gain(self, first: bool) -> float:
        """omega0 of the layer."""
        return self.first_omega0 if first and self.first_omega0 is not None else self.omega0

    def __call__(self, xp: ModuleType, z: AnyArray) -> AnyArray:
        """``sin(z)``."""
        return xp.sin(z)

    def overwrite(self, xp: ModuleType, z: AnyArray) -> AnyArray:
        """``sin(z)`` in place."""
        return xp.sin(z, out=z)

    def bounds(self, fan_in: int, layer: int, last: bool) -> tuple[float, float]:
        """Weights as in the paper (section 3.2); biases with the same bound, as in COIN.

        PyTorch's default for biases, which the code of SIREN and WIRE keeps, spreads the phases of hidden layers over
        the whole circle; photographs then fit 0.1-0.2 dB worse after equal steps.
        """
        bound = 1.0 / fan_in if layer == 0 else math.sqrt(6.0 / fan_in) / self.omega0
        return bound, bound

    def numbers(self) -> list[float]:
        """``[omega0]`` or ``[omega0, first_omega0]``."""
        return [self.omega0] if self.first_omega0 is None else [self.omega0, self.first_omega0]


@dataclass(frozen=True)
class Gaussian:
    """``exp(-(scale (W x + b))^2)`` (Ramasinghe & Lucey 2022).

    The initialisation is PyTorch's default, as in WIRE's code.
    """

    scale: float = 10.0

    ID: ClassVar[int] = 1
    COMPLEX: ClassVar[bool] = False

    def __post_init__(self) -> None:
        _positive("scale", self.scale)

    def gain(self, first: bool) -> float:
        """The scale."""
        return self.scale

    def __call__(self, xp: ModuleType, z: AnyArray) -> AnyArray:
        """``exp(-z^2)``."""
        return xp.exp(-(z * z))

    def overwrite(self, xp: ModuleType, z: AnyArray) -> AnyArray:
        """``exp(-z^2)`` in place."""
        xp.multiply(z, z, out=z)
        xp.negative(z, out=z)
        return xp.exp(z, out=z)

    def bounds(self, fan_in: int, layer: int, last: bool) -> tuple[float, float]:
        """PyTorch's default."""
        return _pytorch_bounds(fan_in)

    def numbers(self) -> list[float]:
        """``[scale]``."""
        return [self.scale]


@dataclass(frozen=True)
class Wire:
    """Complex Gabor wavelet ``exp(j omega0 z - |scale z|^2)`` (Saragadam et al. 2023, "WIRE").

    Weights are real in the first layer and complex in all later layers. The value is the real part of the output.
    """

    omega0: float = 20.0
    scale: float = 30.0

    ID: ClassVar[int] = 2
    COMPLEX: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _positive("omega0", self.omega0)
        _positive("scale", self.scale)

    def gain(self, first: bool) -> float:
        """1: two factors act on z, so neither is folded."""
        return 1.0

    def __call__(self, xp: ModuleType, z: AnyArray) -> AnyArray:
        """The wavelet from magnitude and phase; several times faster than a complex exponential."""
        if xp.isdtype(z.dtype, "complex floating"):
            re, im = xp.real(z), xp.imag(z)
            magnitude = xp.exp(-self.omega0 * im - self.scale**2 * (re * re + im * im))
        else:
            re = z
            magnitude = xp.exp(-(self.scale**2) * (re * re))
        phase = self.omega0 * re
        return magnitude * xp.cos(phase) + 1j * (magnitude * xp.sin(phase))

    def overwrite(self, xp: ModuleType, z: AnyArray) -> AnyArray:
        """As `__call__`."""
        return self(xp, z)

    def bounds(self, fan_in: int, layer: int, last: bool) -> tuple[float, float]:
        """PyTorch's default, independently for real and imaginary parts of complex weights."""
        return _pytorch_bounds(fan_in)

    def numbers(self) -> list[float]:
        """``[omega0, scale]``."""
        return [self.omega0, self.scale]


@dataclass(frozen=True)
class ReLU:
    """``max(W x + b, 0)``."""

    ID: ClassVar[int] = 3
    COMPLEX: ClassVar[bool] = False

    def gain(self, first: bool) -> float:
        """1."""
        return 1.0

    def __call__(self, xp: ModuleType, z: AnyArray) -> AnyArray:
        """``max(z, 0)``; torch's relu has a faster backward pass than a clip."""
        return xp.relu(z) if hasattr(xp, "relu") else xp.clip(z, 0.0, None)

    def overwrite(self, xp: ModuleType, z: AnyArray) -> AnyArray:
        """``max(z, 0)`` in place."""
        return xp.maximum(z, 0.0, out=z)

    def bounds(self, fan_in: int, layer: int, last: bool) -> tuple[float, float]:
        """He's uniform bound for layers that feed a ReLU, PyTorch's default for the output layer."""
        weight, bias = _pytorch_bounds(fan_in)
        return (weight, bias) if last else (math.sqrt(6.0 / fan_in), bias)

    def numbers(self) -> list[float]:
        """No parameters."""
        return []


AnyActivation = Sine | Gaussian | Wire | ReLU
_BY_ID: Final[dict[int, tuple[type[AnyActivation], tuple[int, ...]]]] = {
    Sine.ID: (Sine, (1, 2)),
    Gaussian.ID: (Gaussian, (1,)),
    Wire.ID: (Wire, (2,)),
    ReLU.ID: (ReLU, (0,)),
}


def activation_to_header(activation: AnyActivation) -> list[int | float]:
    """``[id, numbers...]``."""
    return [activation.ID, *(compact(x) for x in activation.numbers())]


def activation_from_header(value: object) -> AnyActivation:
    """Inverse of `activation_to_header`.

    Raises
    ------
    UnknownIdError
        An unknown id.
    MalformedError
        The value is not a list of an id and its numbers, or a number is out of range.
    """
    ident, numbers = id_and_numbers(value, "activation", _BY_ID)
    kind, counts = _BY_ID[ident]
    if len(numbers) not in counts or not all(is_number(x) for x in numbers):
        raise MalformedError(f"field header: {kind.__name__} takes {counts[-1]} finite number(s)")
    try:
        return kind(*(float(x) for x in numbers))
    except InputError as error:
        raise MalformedError(f"field header: {error}") from error


def _positive(name: str, value: float) -> None:
    if not is_number(value) or not 0 < value < 1e6:
        raise InputError(f"activation: {name} must be a number in (0, 1e6), got {quoted(value)}")


# -- as text -----------------------------------------------------------------------------------------------

ACTIVATIONS: Final[dict[str, type[AnyActivation]]] = {"sine": Sine, "gaussian": Gaussian, "wire": Wire, "relu": ReLU}
"""Activations by name, for users."""


def activation_from_text(text: object) -> AnyActivation:
    """An activation from "NAME" or "NAME:NUMBER,...", such as "sine:30" or "wire:20,30"."""
    name, _, numbers = text.lower().partition(":") if isinstance(text, str) else ("", "", "")
    if name not in ACTIVATIONS:
        raise InputError(
            f"activation: expected {', '.join(ACTIVATIONS)}, with numbers as in sine:30, found {quoted(text)}"
        )
    try:
        return ACTIVATIONS[name](*(float(number) for number in numbers.split(",") if number))
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(
            f"activation: expected {name} with its numbers, such as sine:30, found {quoted(text)}"
        ) from error


def activation_text(activation: AnyActivation) -> str:
    """Inverse of `activation_from_text`."""
    name = next(name for name, kind in ACTIVATIONS.items() if isinstance(activation, kind))
    numbers = ",".join(repr(compact(number)) for number in activation.numbers())
    return f"{name}:{numbers}" if numbers else name
