"""Command-line options of the kinds of signal: the keyword arguments of their `load` and `render`."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import typer
from typer.core import TyperOption

from sinr_codec.cli._common import Verb
from sinr_codec.errors import InputError, quoted

if TYPE_CHECKING:
    from sinr_codec.signals.options import Option

T = TypeVar("T")

_GIVEN: Final = "sinr_codec.options"
_EXPECTED: Final[dict[Any, str]] = {int: "an integer", float: "a number"}


class _KindCommand(Verb):
    """A verb with the options of all kinds besides its own.

    Kinds are loaded only if a command line has an option that is not the verb's own, and those of other packages only
    if it has one of theirs, because loading all takes longer than decoding a small file.
    """

    takes: ClassVar[str]
    """Function with the options: "load" or "render"."""

    def kind_params(self, others: bool = True) -> list[TyperOption]:
        """The options of all kinds, or of this package's kinds, but for those whose names the verb has taken."""
        own = _flags(self.params)
        return [option for option in _options(self.takes, others) if not own & _flags([option])]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line; values of the kinds' options are kept for `options_given`."""
        own = self.params
        added: list[TyperOption] = []
        for others in (False, True):
            if _has_others(args, _flags([*own, *added])):
                added = self.kind_params(others)
        try:
            self.params = [*own, *added]
            left: list[str] = super().parse_args(ctx, args)
        finally:
            self.params = own
        given = {}
        for option in added:
            assert option.name is not None
            value = ctx.params.pop(option.name)
            if (source := ctx.get_parameter_source(option.name)) is not None and source.name == "COMMANDLINE":
                given[option.name] = value
        ctx.meta[_GIVEN] = given
        return left


class EncodeCommand(_KindCommand):
    """A verb that reads signals."""

    takes = "load"


class DecodeCommand(_KindCommand):
    """A verb that renders signals."""

    takes = "render"


def options_given(ctx: typer.Context) -> dict[str, Any]:
    """The options of kinds in a command line, by name; others have the kind's defaults."""
    given: dict[str, Any] = ctx.meta[_GIVEN]
    return given


def _flags(params: Iterable[Any]) -> set[str]:
    """All spellings of some options."""
    return {text for param in params for text in (*param.opts, *param.secondary_opts)}


def _has_others(args: Sequence[str], known: set[str]) -> bool:
    """Whether a command line has options besides the known ones; help is one."""
    return "-h" in args or any(arg.startswith("--") and arg.partition("=")[0] not in known for arg in args)


def _options(takes: str, others: bool) -> list[TyperOption]:
    """One option for each name, with the descriptions of each kind."""
    from sinr_codec.signals.options import options_of
    from sinr_codec.signals.registry import KINDS, all_kinds, kind_named

    found: dict[str, list[tuple[str, Option]]] = {}
    for kind in all_kinds() if others else map(kind_named, KINDS):
        function = kind.signal.load if takes == "load" else kind.spec.render
        for option in options_of(function):
            found.setdefault(option.name, []).append((kind.name, option))
    return [_as_typer(name, described) for name, described in found.items()]


def _as_typer(name: str, described: Sequence[tuple[str, "Option"]]) -> TyperOption:
    abouts: dict[str, list[str]] = {}
    for kind, each in described:
        abouts.setdefault(each.about, []).append(kind)
    about = "  ".join(f"[{', '.join(kinds)}] {text}." for text, kinds in abouts.items())
    flag = "--" + name.replace("_", "-")
    option = described[0][1]  # the type is that of the first kind: kinds of other packages cannot change it
    if option.parse is None:
        switch = f"{flag}/--no-{flag[2:]}" if option.default is not False else flag
        return TyperOption(param_decls=[name, switch], is_flag=True, default=bool(option.default), help=about)
    return TyperOption(
        param_decls=[name, flag],
        type=_parser(option.parse),
        metavar=option.metavar or None,
        multiple=option.repeated,
        help=about,
    )


def _parser(parse: Callable[[str], T]) -> Callable[[str], T]:
    """A parser that raises a usage error for invalid text."""

    def parsed(text: str) -> T:
        try:
            return parse(text)
        except InputError as error:
            raise typer.BadParameter(str(error)) from error
        except ValueError as error:
            raise typer.BadParameter(f"{quoted(text)}: expected {_EXPECTED.get(parse, 'another value')}") from error

    parsed.__name__ = getattr(parse, "__name__", "value")
    return parsed
