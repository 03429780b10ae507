"""Options of a kind of signal, read off the functions that take them: names, types and defaults from the signature,
descriptions from the docstring.
"""

import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from sinr_codec.errors import InputError
from sinr_codec.types import PathLike


@dataclass(frozen=True)
class Option:
    """An option, as a command line needs to know it.

    Attributes
    ----------
    name, default
        Of the keyword argument.
    about
        The first sentence of its description in the docstring, without a full stop.
    parse
        From text to a value; `ValueError` or `InputError` for text that is none. None for an option that is on or off.
    metavar
        What stands for the value in help, where the type alone does not tell: a class with `parse` may have a static
        `metavar()`.
    repeated
        Whether it may be given several times, for a sequence of texts.
    """

    name: str
    default: Any
    about: str
    parse: Callable[[str], Any] | None
    metavar: str = ""
    repeated: bool = False


def check_options(function: Callable[..., Any], options: Collection[str], what: str) -> None:
    """Raise `InputError` for names of options that a `Signal.load` or a `Spec.render` does not take."""
    known = [name for name, p in inspect.signature(function).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise InputError(f"{name}: not an option of {what}; expected {', '.join(known) or 'none'}")


def options_of(function: Callable[..., Any]) -> list[Option]:
    """The keyword-only arguments of a `Signal.load` or a `Spec.render` that text can give.

    Text can give bool, int, float, str, paths, sequences of texts or numbers, and classes with a method `parse`, also
    as members of a union. Arguments of other types are left out.
    """
    hints, abouts = typing.get_type_hints(function), _descriptions(function)
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            about = abouts.get(name, "")
            if (option := _option(name, parameter.default, about, hints.get(name, Any))) is not None:
                found.append(option)
    return found


def _option(name: str, default: Any, about: str, hint: Any) -> Option | None:
    members = [each for each in _members(hint) if each is not types.NoneType]
    if members == [bool]:
        return Option(name, default, about, None)
    for each in members:
        if callable(parse := getattr(each, "parse", None)):
            return Option(
                name, default, about, parse, each.metavar() if hasattr(each, "metavar") else each.__name__.upper()
            )
    if any(typing.get_origin(each) is Sequence and typing.get_args(each) == (str,) for each in members):
        return Option(name, default, about, str, repeated=True)
    if Any in members or str in members or members == list(_members(PathLike)):
        return Option(name, default, about, str)
    if float in members or int in members:
        return Option(name, default, about, float if float in members else int)
    if any(typing.get_origin(each) in (Sequence, tuple) and _numeric(typing.get_args(each)) for each in members):
        return Option(name, default, about, _numbers, "N,N,...")
    return None


def _members(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _numeric(arguments: Collection[Any]) -> bool:
    return all(each is Ellipsis or (isinstance(each, type) and issubclass(each, Real)) for each in arguments)


def _numbers(text: str) -> tuple[float, ...]:
    """Numbers from "N,N,...", integers where all are."""
    items = text.split(",")
    return tuple(map(int, items)) if all(item.strip().isdecimal() for item in items) else tuple(map(float, items))


def _descriptions(function: Callable[..., Any]) -> dict[str, str]:
    """Descriptions by name from the section `Parameters` of a docstring in NumPy's style."""
    text = inspect.getdoc(function) or ""
    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n---|\Z)", text, re.MULTILINE | re.DOTALL)
    found: dict[str, str] = {}
    for names, body in re.findall(r"^(\w[^\n]*)\n((?:[ ]+[^\n]*\n?|\n)+)", section[1] if section else "", re.MULTILINE):
        about = " ".join(body.split()).replace("`", "").partition(". ")[0].removesuffix(".")
        found |= {name.strip(): about for name in names.partition(" : ")[0].split(",")}
    return found
