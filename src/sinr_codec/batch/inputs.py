"""Inputs from files, folders and patterns, and the names of their outputs."""

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from sinr_codec.batch.manifest import NAME
from sinr_codec.batch.places import address_of, filesystem, is_remote, remote_errors
from sinr_codec.errors import InputError
from sinr_codec.files import without_suffix
from sinr_codec.signals import registry
from sinr_codec.types import PathLike


def addresses_of(inputs: Iterable[PathLike]) -> list[str]:
    """The distinct addresses of files, folders and patterns, in the given order; matches of a pattern are sorted.

    An existing path is not a pattern. A pattern without matches stands for a missing file of that name.
    """
    found = [address for each in inputs for address in _matches(os.fspath(each))]
    return list(dict.fromkeys(found))


def _matches(text: str) -> list[str]:
    address = address_of(text)
    if not glob.has_magic(address):
        return [address]
    if is_remote(address):
        with remote_errors(address):
            found = _matches_elsewhere(address)
    elif os.path.lexists(address):
        found = [address]
    else:
        found = [path for path in glob.glob(address, recursive=True) if _may_be_meant(path) and _is_signal(Path(path))]
    return sorted(found) or [address]


def _matches_elsewhere(address: str) -> list[str]:
    """As `_matches`, for URLs; only folders named `.zarr` count, since listing folders would take long."""
    system, pattern = filesystem(address)
    if system.exists(pattern):
        return [address]
    entries = system.glob(pattern, detail=True).items()
    paths = [path for path, about in entries if about["type"] == "file" or path.endswith(".zarr")]
    return [str(system.unstrip_protocol(path)) for path in paths if _may_be_meant(path)]


def _may_be_meant(path: str) -> bool:
    """Whether a pattern may match this file: neither a hidden file nor an output of a batch beside its inputs."""
    name = PurePosixPath(path).name
    return not (name.startswith(".") or name.lower().endswith(".sinr") or name == NAME)


def _is_signal(path: Path) -> bool:
    """Whether a folder is a signal; True for files, which are checked on reading."""
    try:
        return not path.is_dir() or bool(registry.kind_of(path))
    except InputError:
        return False


def output_names(addresses: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
    """The names of the outputs, by address: `photo.sinr` for `photo.png`.

    Inputs with the same name get the first unique one of `photo.png.sinr`, `folder-photo.png.sinr` and
    `photo.png-1f3c9a2b.sinr` with a hash of the address. Names thus depend on the set of inputs, not on their order.
    Names from earlier runs are kept.

    Parameters
    ----------
    addresses
        Distinct addresses of the inputs.
    known
        Names by address from earlier runs, including those of other inputs.
    """
    choices = {address: _choices(address) for address in addresses}
    wanted = Counter(name for names in choices.values() for name in {name.casefold() for name in names})
    names = {address: known[address] for address in addresses if address in known}
    taken = {name.casefold() for name in known.values()}
    for address in addresses:
        if address not in names:
            *readable, sure = choices[address]
            own = (name for name in readable if wanted[name.casefold()] == 1 and name.casefold() not in taken)
            names[address] = next(own, sure)
            taken.add(names[address].casefold())
    return {address: names[address] for address in addresses}


def _choices(address: str) -> list[str]:
    path = PurePosixPath(Path(address).as_posix())
    mark = hashlib.sha256(address.encode(errors="surrogateescape")).hexdigest()[:8]
    stem = without_suffix(Path(path.name)).name
    return [f"{name}.sinr" for name in (stem, path.name, f"{path.parent.name}-{path.name}", f"{path.name}-{mark}")]
