"""The user's request for an encoding, checked before a signal is read."""

import re
from dataclasses import dataclass
from typing import Final

from sinr_codec.arguments import check_activation, check_positive, check_seed
from sinr_codec.devices import CPU
from sinr_codec.errors import InputError, quoted
from sinr_codec.fields import AnyActivation
from sinr_codec.methods import Method, method_named
from sinr_codec.methods.interlaced import BOUNDED
from sinr_codec.presets import preset_named
from sinr_codec.signals import registry
from sinr_codec.signals.recipe import Recipe
from sinr_codec.types import PathLike

TARGETS: Final = ("bpp", "size", "psnr", "snr", "max_error", "lossless")
"""Arguments of which a request has one at most."""
FIELDS: Final[dict[str, str | None]] = {"mlp": None, "pyramid": "pyramid"}
"""Fields that a user may name, and the methods that fit them; None: the network of the kind, and the planner."""
_BOUND: Final = re.compile(r"([0-9.]+(?:[eE][-+]?[0-9]+)?) *(\S.*)?")


def parsed_bound(value: float | str) -> tuple[float, str]:
    """A bound on the error as a number and its unit: "%" of the range, a unit of the data, or "" for the data's own.

    Raises
    ------
    InputError : no number above 0, or text that is not a number and a unit
    """
    number, unit = value, ""
    if isinstance(value, str):
        found = _BOUND.fullmatch(value.strip())
        if found is None:
            raise InputError(f"max_error: expected a number, and possibly % or a unit, got {quoted(value)}")
        number, unit = found[1], found[2] or ""
    try:
        number = float(number)
    except ValueError:
        raise InputError(f"max_error: expected a number, and possibly % or a unit, got {quoted(value)}") from None
    check_positive("max_error", number)
    return number, unit


@dataclass(frozen=True)
class Request:
    """Arguments of `codec.encode` that do not depend on the signal.

    Raises
    ------
    InputError : an argument that suits no signal
    """

    preset: str = "balanced"
    method: str | None = None
    field: str | None = None
    kind: str | None = None
    width: int | None = None
    depth: int | None = None
    activation: AnyActivation | None = None
    bpp: float | None = None
    size: int | None = None
    psnr: float | None = None
    snr: float | None = None
    max_error: float | str | None = None
    lossless: bool = False
    seconds: float | None = None
    seed: int = 0
    device: str = CPU
    max_drop: float | None = None
    checkpoint: PathLike | None = None
    progressive: bool = False

    def __post_init__(self) -> None:
        if sum(getattr(self, name) not in (None, False) for name in TARGETS) > 1:
            raise InputError(f"target: expected at most one of {', '.join(TARGETS[:-1])} and {TARGETS[-1]}")
        if self.bounded:
            self._check_bounded()
        for name in ("bpp", "size", "psnr", "snr", "seconds", "max_drop"):
            if (value := getattr(self, name)) is not None:
                check_positive(name, value)
        check_seed(self.seed)
        check_activation(self.activation)
        if self.kind is not None:
            registry.kind_named(self.kind)
        preset_named(self.preset)
        if self.method is not None:
            method_named(self.method)
        if self.field is not None:
            if self.field not in FIELDS:
                raise InputError(f"field: expected one of {', '.join(FIELDS)}, got {quoted(self.field)}")
            if self.method is not None:
                raise InputError("field: follows from the method; leave it out")

    @property
    def bounded(self) -> bool:
        """Whether the error of every sample is bounded."""
        return self.lossless or self.max_error is not None

    def _check_bounded(self) -> None:
        names = ("method", "field", "width", "depth", "activation", "max_drop")
        given = [name for name in names if getattr(self, name) is not None] + ["progressive"] * self.progressive
        if given:
            bound = "lossless" if self.lossless else "max_error"
            raise InputError(f"{given[0]}: does not go with {bound}; leave it out")
        if self.max_error is not None:
            parsed_bound(self.max_error)

    def method_for(self, recipe: Recipe) -> Method | None:
        """The method: the one that is named, or that of the field; that of the kind where no network is described."""
        if self.bounded:
            return BOUNDED
        if self.method is not None or self.field is not None:
            name = self.method or FIELDS[str(self.field)]
        elif self.preset == "paper" or self.progressive or self.max_drop is not None:
            name = None
        else:
            described = (self.width, self.depth, self.activation)
            name = recipe.method if all(given is None for given in described) else None
        return None if name is None else method_named(name)

    def budget(self, samples: int) -> int | None:
        """Byte budget of a file with `samples` samples; None without a rate or size."""
        return self.size if self.bpp is None else int(self.bpp * samples / 8)

    def following_from_base(self) -> str | None:
        """Name of a given argument that a base would determine; None without one."""
        names = ("width", "depth", "activation", *TARGETS)
        return next((name for name in names if getattr(self, name) not in (None, False)), None)
