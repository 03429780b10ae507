"""Inputs from files, folders and patterns, and the names of their outputs."""

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

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
        found = [path for path in set(_expanded(address)) if _may_be_meant(path) and _is_signal(Path(path))]
    return sorted(found) or [address]


def _expanded(pattern: str) -> Iterator[str]:
    """As `glob.glob` with `recursive`, but "**" follows no links to folders, as in shells: one of them may lead up."""
    parts = pattern.split(os.sep)
    if "**" not in parts:
        yield from glob.iglob(pattern)
        return
    at = parts.index("**")
    rest = [part for part in parts[at + 1 :] if part] or ["*"]
    for top in glob.iglob(os.sep.join(parts[:at]) or os.sep):
        for here, folders, _ in os.walk(top):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from _expanded(os.path.join(glob.escape(here), *rest))


def _matches_elsewhere(address: str) -> list[str]:
    """As `_matches`, for URLs; only folders named `.zarr` count, since listing folders would take long.

    In a chain, such as "zip://*.png::s3://bucket/*.zip", the files that hold others are found first.
    """
    links = address.split("::")
    at = max(i for i, link in enumerate(links) if glob.has_magic(link))
    outer = links[at:]
    if len(outer) == 1 and not is_remote(outer[0]):
        found = _matches(outer[0])
    else:
        system, pattern = filesystem("::".join(outer))
        if system.exists(pattern):
            found = ["::".join(outer)]
        else:
            entries = system.glob(pattern, detail=True).items()
            paths = [path for path, about in entries if about["type"] == "file" or path.endswith(".zarr")]
            found = [_with_path(system, outer, str(path)) for path in paths if _may_be_meant(str(path))]
    if at == 0 or not any(glob.has_magic(link) for link in links[:at]):
        return ["::".join([*links[:at], each]) for each in found]
    return [path for each in found for path in _matches_elsewhere("::".join([*links[:at], each]))]


def _with_path(system: Any, links: Sequence[str], path: str) -> str:
    """The URL of a path in the file system of a chain of links, the first of which had a pattern in its place."""
    if len(links) == 1:
        return str(system.unstrip_protocol(path))
    protocol = links[0].partition("://")[0]
    return "::".join([f"{protocol}://{path}", *links[1:]])


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
    # Of a file within another, its own name counts: "zip://a.png::photos.zip".
    own = next((link for link in address.split("::") if is_remote(link)), address)
    path = PurePosixPath(Path(own).as_posix())
    mark = hashlib.sha256(address.encode(errors="surrogateescape")).hexdigest()[:8]
    stem = without_suffix(Path(path.name)).name
    return [f"{name}.sinr" for name in (stem, path.name, f"{path.parent.name}-{path.name}", f"{path.name}-{mark}")]
