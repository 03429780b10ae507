"""Command-line options of the kinds of signal: the keyword arguments of their `load` and `render`."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperOption

from sinr_codec.errors import InputError

if TYPE_CHECKING:
    from sinr_codec.signals.options import Option

T = TypeVar("T")

_GIVEN: Final = "sinr_codec.options"


class _KindCommand(TyperCommand):
    """A verb with the options of all kinds besides its own.

    Kinds are loaded only if a command line has an option that is not the verb's own, because loading all takes longer
    than decoding a small file.
    """

    takes: ClassVar[str]
    """Function with the options: "load" or "render"."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line, and keep the values of the kinds' options for `options_given`."""
        own = {text for param in self.params for text in (*param.opts, *param.secondary_opts)}
        added: list[TyperOption] = []
        if any(arg.startswith("--") and arg.partition("=")[0] not in own for arg in args) or "-h" in args:
            added = [option for option in _options(self.takes) if not own & {*option.opts, *option.secondary_opts}]
            self.params = [*self.params, *added]
        left: list[str] = super().parse_args(ctx, args)
        given = {}
        for option in added:
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


def _options(takes: str) -> list[TyperOption]:
    """One option for each name, with the descriptions of each kind."""
    from sinr_codec.signals.options import options_of
    from sinr_codec.signals.registry import all_kinds

    found: dict[str, list[tuple[str, Option]]] = {}
    for kind in all_kinds():
        function = kind.signal.load if takes == "load" else kind.spec.render
        for option in options_of(function):
            found.setdefault(option.name, []).append((kind.name, option))
    return [_as_typer(name, described) for name, described in found.items()]


def _as_typer(name: str, described: Iterable[tuple[str, "Option"]]) -> TyperOption:
    abouts: dict[str, list[str]] = {}
    for kind, option in described:
        abouts.setdefault(option.about, []).append(kind)
    about = "  ".join(f"[{', '.join(kinds)}] {text}." for text, kinds in abouts.items())
    flag = "--" + name.replace("_", "-")
    # If the kinds' types differ, each parses the text itself.
    same = len({each.parse for _, each in described}) == 1
    if option.parse is None and same:
        switch = f"{flag}/--no-{flag[2:]}" if option.default is not False else flag
        return TyperOption(param_decls=[name, switch], is_flag=True, default=bool(option.default), help=about)
    return TyperOption(
        param_decls=[name, flag],
        type=_parser(option.parse) if same and option.parse is not None else str,
        metavar=(option.metavar if same else "") or None,
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

    parsed.__name__ = getattr(parse, "__name__", "value")
    return parsed
