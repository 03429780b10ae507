"""Encoding and validation of numbers in headers."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from typing import Any, Protocol, TypeGuard, TypeVar, cast

from sinr_codec.container import remedy
from sinr_codec.errors import InputError, LimitError, MalformedError, UnknownIdError


def compact(value: float) -> int | float:
    """Integral floats as integers, which take one or two bytes in CBOR if small, instead of three to nine."""
    return int(value) if float(value).is_integer() and abs(value) < 2**31 else float(value)


def is_list(value: object) -> TypeGuard[Sequence[object]]:
    """True for a list or tuple that starts with an integer, as all parts of a header do."""
    return isinstance(value, list | tuple) and len(value) > 0 and type(value[0]) is int


def id_and_numbers(value: object, what: str, known: Container[object]) -> tuple[int, list[Any]]:
    """The id and the rest of ``[id, numbers...]``, the header of an activation or an encoding.

    Raises
    ------
    MalformedError
        The value is no such list.
    UnknownIdError
        The id is not one of this version.
    """
    if not is_list(value):
        raise MalformedError(f"field header: the {what} must be a list that starts with an integer id")
    ident, *numbers = value
    if ident not in known:
        raise UnknownIdError(f"field header: {what} id {ident} is not known to this version")
    return cast(int, ident), numbers


def is_number(value: object) -> TypeGuard[float]:
    """True for finite integers and floats, not for booleans."""
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


class _Sized(Protocol):
    @property
    def num_params(self) -> int: ...


_F = TypeVar("_F", bound=_Sized)


def built(build: Callable[[], _F], max_params: int) -> _F:
    """Build a field from the numbers of a header.

    Raises
    ------
    MalformedError
        The field rejects the numbers.
    LimitError
        More parameters than `max_params`.
    """
    try:
        field = build()
    except InputError as error:
        raise MalformedError(f"field header: {error}") from error
    if field.num_params > max_params:
        more = f"{field.num_params:,} parameters are more than {max_params:,}"
        raise LimitError(f"field header: {more}; {remedy('max_params')}")
    return field
