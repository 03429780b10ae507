"""Checks of arguments that several commands share."""

import math
from pathlib import Path

from sinr_codec import streams
from sinr_codec.container import MAGIC
from sinr_codec.errors import InputError, quoted
from sinr_codec.fields import AnyActivation
from sinr_codec.signals import registry
from sinr_codec.streams import Output
from sinr_codec.types import PathLike


def check_positive(name: str, value: object) -> None:
    """Raise `InputError` unless the argument is a positive, finite number."""
    if not (isinstance(value, int | float) and value > 0 and math.isfinite(value)):
        raise InputError(f"{name}: expected a positive number, got {quoted(value)}")


def check_seed(seed: object) -> None:
    """Raise `InputError` unless the seed is an integer from 0 to 2**63 - 1."""
    if not (isinstance(seed, int) and 0 <= seed < 2**63):
        raise InputError(f"seed: expected an integer from 0 to 2**63 - 1, got {quoted(seed)}")


def check_activation(activation: object) -> None:
    """Raise `InputError` unless the argument is None or an activation of `fields`."""
    if activation is not None and not isinstance(activation, AnyActivation):
        raise InputError(f"activation: expected one of sinr_codec.fields, such as Sine(30), got {quoted(activation)}")


def check_replaceable(out: Output) -> None:
    """Raise `InputError` where an output is to have another format's name, or exists and is no `.sinr` file.

    A slip would cost somebody's recording, or leave a picture that no program opens.
    """
    if not streams.is_name(out):
        return
    if (path := Path(out)).is_file() and path.stat().st_size:
        with path.open("rb") as file:
            check_magic(out, file.read(len(MAGIC)))
    if (noun := registry.noun_of_name(path)) is not None:
        raise InputError(f"{out}: is the name of {noun}, but this writes a .sinr file; end the name in .sinr")


def check_magic(out: PathLike, beginning: bytes) -> None:
    """Raise `InputError` where what an output begins with is no `.sinr` file's."""
    if beginning != MAGIC:
        raise InputError(f"{out}: exists and is no .sinr file; remove it first or name another output")
