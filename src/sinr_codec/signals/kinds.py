"""A kind of signal as one object: how sources are recognised and read, what files record, which network suits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sinr_codec.signals.base import Signal, Spec
from sinr_codec.signals.claims import has_suffix
from sinr_codec.signals.formats import Check
from sinr_codec.signals.recipe import Recipe
from sinr_codec.types import PathLike


def _nothing(_: Any) -> bool:
    return False


def _anything(_: PathLike) -> None:
    pass


@dataclass(frozen=True)
class Kind:
    """A kind of signal.

    Attributes
    ----------
    name
        Of the kind, such as "image"; what `kind=` and `--as` take.
    noun
        What messages call a signal, with its article: "a picture".
    ids
        What the signal headers of its files begin with (`Spec.to_header`): integers are given out in
        docs/format-signals.md; a kind of another package has texts of 1 to 64 characters, such as its name.
    signal, spec
        The class that reads sources, and the class of what files record. Keyword arguments of `signal.load` and
        `spec.render` are the options of `encode` and `decode`, in Python and on the command line, where types and the
        parameters of the docstrings say what they take.
    recipe
        The network that suits, and how it is fitted.
    suffixes
        Extensions of files that hold this kind, in lower case.
    recognises
        Further sources that are of this kind: paths, arrays, or objects of the library that its users use.
    writes
        Raises for an output that `Spec.save` does not write, by its extension and the libraries of its format
        (`formats.checked`), before anything is rendered. Default: `save` alone says it.
    whole
        Options of `signal.load` that keep a signal in one piece, where others cut it by themselves.
    """

    name: str
    noun: str
    ids: tuple[int | str, ...]
    signal: type[Signal]
    spec: type[Spec]
    recipe: Recipe
    suffixes: tuple[str, ...] = ()
    recognises: Callable[[Any], bool] = _nothing
    writes: Check = _anything
    whole: Mapping[str, Any] = field(default_factory=dict)

    def claims(self, source: Any) -> bool:
        """Whether a path or an object is of this kind."""
        return has_suffix(source, *self.suffixes) or self.recognises(source)

    def parts_in(self, header: Any) -> int:
        """Number of networks that a header declares: one, unless the kind has blocks and tells."""
        count: int = getattr(self.spec, "parts_in", lambda _: 1)(header)
        return count
