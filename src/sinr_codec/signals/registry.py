"""All kinds of signal: those of this package, and those that other packages register.

Modules are imported when their kind is met: the libraries of one are no concern of the others. Another package adds a
kind by an entry point of the group `sinr_codec.kinds`, whose name is that of the kind and whose value is a `Kind`.
"""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from sinr_codec import streams
from sinr_codec.errors import InputError, MalformedError, MissingFileError, UnknownIdError, quoted
from sinr_codec.signals import magic
from sinr_codec.signals.base import Signal, Spec
from sinr_codec.signals.claims import folder, has_suffix, is_path, is_picture
from sinr_codec.signals.kinds import Kind
from sinr_codec.types import Options

KINDS: Final = {
    "image": (0, 7),
    "audio": (1,),
    "volume": (2, 8),
    "dataset": (3, 11),
    "video": (4, 9),
    "shape": (5, 10),
    "radiance": (6,),
}
"""Ids of this package's kinds by name, which is also that of the module in `signals` with the `Kind`."""

GROUP: Final = "sinr_codec.kinds"
"""Group of the entry points of other packages' kinds."""
_MOST_LETTERS: Final = 64  # of a text id
_NETWORKS: Final = (".pth", ".pt", ".ckpt", ".safetensors")


logger = logging.getLogger(__name__)

# -- kinds -----------------------------------------------------------------------------------------------------


def kind_named(name: str) -> Kind:
    """The kind of a name, or of an extension such as ".stl".

    Raises
    ------
    InputError : there is none, or the package that registers it is broken
    """
    if name in KINDS:
        kind: Kind = import_module(f"sinr_codec.signals.{name}").KIND
        return kind
    match _registered().get(name):
        case Kind() as other:
            return other
        case InputError() as error:
            raise error
    if name.startswith(".") and (found := _of_suffix(name)) is not None:
        return found
    raise InputError(f"kind: expected one of {', '.join([*KINDS, *other_kinds()])} or an extension, got {quoted(name)}")


def all_kinds() -> list[Kind]:
    """All kinds, those of other packages last."""
    return [*map(kind_named, KINDS), *other_kinds().values()]


def other_kinds() -> dict[str, Kind]:
    """Kinds of other packages by name, but for packages that are broken."""
    return {name: kind for name, kind in _registered().items() if isinstance(kind, Kind)}


@cache
def _registered() -> dict[str, Kind | InputError]:
    """What other packages register by name: a kind, or what is wrong with it."""
    from importlib.metadata import entry_points

    found: dict[str, Kind | InputError] = {}
    taken: set[int | str] = {*KINDS, *(number for ids in KINDS.values() for number in ids)}
    for entry in sorted(entry_points(group=GROUP)):
        package = entry.dist.name if entry.dist is not None else entry.value
        try:
            kind = entry.load()
            _check(entry.name, kind, taken)
        except Exception as error:  # whatever another package raises as it is imported
            found[entry.name] = InputError(f"kind {entry.name}: the package {package} is broken ({error})")
        else:
            taken |= {kind.name, *kind.ids}
            found[kind.name] = kind
    return found


def _check(name: str, kind: Any, taken: Collection[int | str]) -> None:
    """Raise `InputError` for what is no kind, or has the name or an id of another."""
    if not isinstance(kind, Kind) or kind.name != name:
        raise InputError(f"expected a Kind named {name}, found {quoted(kind)}")
    if not kind.ids or not all(isinstance(each, str) and 1 <= len(each) <= _MOST_LETTERS for each in kind.ids):
        raise InputError(f"expected ids of 1 to {_MOST_LETTERS} letters, found {quoted(kind.ids)}")
    if doubled := {kind.name, *kind.ids} & set(taken):
        raise InputError(f"{doubled.pop()} is the name or an id of another kind; uninstall one of them")


def kind_in_header(header: Any) -> Kind:
    """The kind of the signal that a file's header describes.

    Raises
    ------
    MalformedError, UnknownIdError : a header that no writer makes, or an id that no kind here has
    """
    if type(header) is not list or not header or type(header[0]) not in (int, str):
        raise MalformedError("signal header: expected a list that starts with the signal's id")
    if isinstance(header[0], str):
        if not 1 <= len(header[0]) <= _MOST_LETTERS:
            raise MalformedError(f"signal id: expected 1 to {_MOST_LETTERS} letters, found {len(header[0])}")
        for kind in other_kinds().values():
            if header[0] in kind.ids:
                return kind
        raise UnknownIdError(f"signal id {quoted(header[0])}: not known here; install the package that has this kind")
    for name, ids in KINDS.items():
        if header[0] in ids:
            return kind_named(name)
    raise UnknownIdError(f"signal id {header[0]}: not known to this version")


def spec_from_header(header: Any, side: bytes = b"") -> Spec:
    """The description that a file's header and side section hold.

    Raises
    ------
    UnknownIdError, MalformedError, LimitError : for what no writer can have written
    """
    spec: Spec = kind_in_header(header).spec.from_header(header, side)
    return spec


# -- sources ---------------------------------------------------------------------------------------------------


def load(source: Any, kind: str | None = None, like: Spec | None = None, **options: Any) -> Signal:
    """Read a signal of whatever kind it is.

    Parameters
    ----------
    source
        A path, an array, an open binary file, or an object of the library its users use (`PIL.Image`,
        `xarray.Dataset`, ...).
    kind
        Name of the kind, or an extension, where the source does not tell or tells otherwise.
    like
        The `Spec` of a file to compare with: its kind and conventions are taken.
    options
        Options of the kind's own `load`, such as the resolution of a shape.

    Raises
    ------
    InputError : no such file, no such kind, or one that cannot be read
    """
    if is_path(source):
        path = Path(source)
        if not path.exists():
            raise MissingFileError(f"{path}: no such file")
        if path.is_file() and path.stat().st_size == 0:
            noun = named.noun if (named := _claiming(path)) else "a signal"
            raise InputError(f"{path}: expected {noun}, found an empty file")
    with at_hand(source, kind or (None if like is None else like.KIND)) as there:
        if like is not None:
            return _load_like(there, like, options)
        read = kind_of(there) if kind is None else kind_named(kind)
        logger.debug("%s: read as %s", there if is_path(there) else type(there).__name__, read.noun)
        try:
            return read.signal.load(there, None, **options)
        except InputError as error:
            if (hint := _other_content(there, read)) is None:
                raise
            raise InputError(f"{error}; {hint}") from error


def _other_content(source: Any, read: Kind) -> str | None:
    """What the first bytes of a file say where they are those of another kind than its name; None if they do not."""
    suffix = magic.suffix_in(Path(source)) if is_path(source) and Path(source).is_file() else ""
    other = _of_suffix(suffix) if suffix not in _OF_SEVERAL and not has_suffix(source, suffix) else None
    if other is None or other.name == read.name:
        return None
    return f"its first bytes are those of {other.noun} (--as {suffix})"


def _load_like(source: Any, like: Spec, options: Options) -> Signal:
    """Read a signal to compare with a file."""
    read = kind_named(like.KIND)
    try:
        return read.signal.load(source, like, **options)
    except InputError as error:
        other = next((each for each in _asked() if has_suffix(source, *each.suffixes)), read)
        if other.name != read.name:
            raise InputError(f"{source}: is {other.noun}, but the file holds {read.noun}") from error
        raise


def kind_of(source: Any) -> Kind:
    """The kind of a path or an object, by name, type, shape and content.

    A file whose name tells nothing is what its first bytes say, or a picture if Pillow knows it.

    Raises
    ------
    InputError : a source of no kind
    """
    _refuse_finished(source)
    if (kind := _claiming(source)) is not None:
        return kind
    if (path := folder(source)) is not None:
        from sinr_codec.signals.video_files import no_frames

        raise InputError(
            f"{path}: expected a folder with transforms*.json (a scene), .zarr data or numbered PNG frames, but "
            f"{no_frames(path)}; for files of their own: sinr batch '{path}/*'; for frames: --as video"
        )
    if not is_path(source):
        raise InputError(
            f"source: expected a path, an array, an open file or an object of a known library, got {quoted(source)}"
        )
    path = Path(source)
    if not path.exists():
        raise MissingFileError(f"{path}: no such file")
    if (remedy := _remedy(path)) is not None:
        raise InputError(f"{path}: {remedy}")
    with at_hand(path) as named:
        if named != path:
            return kind_of(named)
    if is_picture(path):
        return kind_named("image")
    raise InputError(f"{path}: {_UNTOLD}")


@contextlib.contextmanager
def at_hand(source: Any, kind: str | None = None) -> Iterator[Any]:
    """A source as the kinds read it: the libraries go by the names of files.

    Open files and pipes are copied to a temporary file, and a file whose name tells nothing gets a second name; both
    have the extension that `kind`, where it is one, or the first bytes tell. Other sources are left as they are.

    Raises
    ------
    InputError : a stream that cannot be read, or whose first bytes tell nothing
    """
    if streams.is_stream(source):
        with streams.as_file(source, lambda head: _suffix_of_stream(source, head, kind)) as path:
            yield path
        return
    suffix = _missing_suffix(Path(source), kind) if is_path(source) and Path(source).is_file() else ""
    if not suffix:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix=streams.PREFIX, ignore_cleanup_errors=True) as temporary:
        named = Path(temporary) / f"{Path(source).name}{suffix}"
        try:
            named.symlink_to(Path(source).resolve())
        except OSError:  # a system without links
            shutil.copyfile(source, named)
        with streams.renamed(named, os.fspath(source)):
            yield named


_OF_SEVERAL: Final = ("", ".npy", ".npz", ".nc")  # HDF5 holds volumes as well
_FINISHED: Final = "is a .sinr file already; expected a signal"
_UNTOLD: Final = (
    "neither the name nor the first bytes tell what it is; name the kind (--as, kind=), one of "
    f"{', '.join(KINDS)}, or an extension, such as .stl"
)


def _suffix_of_stream(source: Any, head: bytes, kind: str | None) -> str:
    """The extension for a copy of a stream."""
    if kind is not None and kind.startswith("."):
        return kind
    name, suffix = streams.name_of(source), magic.suffix_of(head)
    if suffix == ".sinr":
        raise InputError(f"{name}: {_FINISHED}")
    if kind is not None:
        return suffix or next(iter(kind_named(kind).suffixes), "")
    if not suffix and _claiming(name) is not None:
        suffix = "".join(Path(name).suffixes[-2:]) if name.endswith(".gz") else Path(name).suffix
    if not suffix:
        raise InputError(f"{name}: {_UNTOLD}")
    return suffix


def _missing_suffix(path: Path, kind: str | None) -> str:
    """The extension that the name of a file lacks; empty if it lacks none or nothing tells."""
    if kind is not None and kind.startswith("."):
        return "" if has_suffix(path, kind.lower()) else kind
    if has_suffix(path, ".sinr", *_NETWORKS) or _claiming(path) is not None or _remedy(path) is not None:
        return ""
    suffix = magic.suffix_in(path)
    return "" if suffix and has_suffix(path, suffix) else suffix


def _remedy(path: Path) -> str | None:
    """What to do with a file of a format that no library here reads: what Pillow would read of a raw photograph is a
    small preview.
    """
    from PIL import Image

    suffix = path.suffix.lower()
    return None if Image.EXTENSION.get(suffix) in Image.OPEN else magic.UNREAD.get(suffix)


def _refuse_finished(source: Any) -> None:
    if has_suffix(source, *_NETWORKS):
        raise InputError(f"{os.fspath(source)}: holds a network; use compress")
    if has_suffix(source, ".sinr"):
        raise InputError(f"{os.fspath(source)}: {_FINISHED}")


def _claiming(source: Any) -> Kind | None:
    """The first kind that claims a source."""
    return next((kind for kind in _asked() if kind.claims(source)), None)


def _of_suffix(suffix: str) -> Kind | None:
    """The kind of files with an extension."""
    return next((kind for kind in _asked() if has_suffix(suffix, *kind.suffixes)), None)


def noun_of_name(path: Path) -> str | None:
    """What a file of this name holds by its extension, with its article; None where that tells nothing."""
    if has_suffix(path, ".sinr"):  # of no kind, which is known before all kinds are loaded
        return None
    if has_suffix(path, *_NETWORKS):
        return "a network"
    return next((kind.noun for kind in _asked() if has_suffix(path, *kind.suffixes)), None)


def _asked() -> Iterable[Kind]:
    """Kinds in the order in which they are asked: the most particular first, those of other packages last."""
    yield from map(kind_named, reversed(KINDS))
    yield from other_kinds().values()
