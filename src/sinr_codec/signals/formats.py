"""Formats that a kind writes, checked before anything is rendered: extensions, and the libraries they need."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.signals.sources import library
from sinr_codec.types import PathLike


class Library(NamedTuple):
    """A library that a format needs: as in `sources.library`."""

    module: str
    extra: str
    package: str | None = None


Check = Callable[[PathLike], None]
"""Raises for a path whose format is not written, or whose library is missing."""

SURFACES: Final = (Library("skimage.measure", "mesh", "scikit-image"),)
MESHES: Final = (*SURFACES, Library("trimesh", "mesh"))
SHADED: Final = (*SURFACES, Library("scipy.ndimage", "mesh"))
VIDEOS: Final = (Library("av", "video", "PyAV"),)


def checked(formats: Mapping[str, Sequence[Library]]) -> Check:
    """The check of a table of extensions, several in a key apart by spaces; "" stands for a folder.

    Raises, when called
    -------------------
    InputError : an extension that is not in the table
    MissingExtraError : a library is not installed; the message names an array format that needs none
    """
    table = {suffix: needed for key, needed in formats.items() for suffix in (key.split() or [""])}

    def check(path: PathLike) -> None:
        suffix = extension(path, table)
        if suffix is None:
            known = ", ".join(suffix or "a folder" for suffix in table)
            raise InputError(f"{os.fspath(path)}: expected an extension among {known}")
        try:
            for needed in table[suffix]:
                library(needed.module, needed.extra, path, needed.package)
        except MissingExtraError as error:
            plain = next((each for each in (".npy", ".npz") if not table.get(each, MESHES)), None)
            if plain is None:
                raise
            raise MissingExtraError(f"{error}; or write the array, as {plain}") from error

    return check


def extension(path: PathLike, known: Mapping[str, object]) -> str | None:
    """The longest of the known extensions of a path, in lower case; "" for a folder, None if there is none."""
    name = os.fspath(path).lower()
    if "" in known and (name.endswith(("/", os.sep)) or not Path(name).suffix):
        return ""
    return max((suffix for suffix in known if suffix and name.endswith(suffix)), key=len, default=None)
