"""The header of a compressed state dict: its tensors, and in `Header.extra` the networks, nesting and plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sinr_codec.container import STATE, Header, TensorEntry
from sinr_codec.errors import FormatError
from sinr_codec.fields import MLP
from sinr_codec.foreign.chain import Chain
from sinr_codec.foreign.tables import Network
from sinr_codec.foreign.trees import LIST, TUPLE, Checkpoint, Value
from sinr_codec.signals.metadata import KEY as _METADATA
from sinr_codec.signals.metadata import metadata_in, packed
from sinr_codec.types import Cbor

_NETWORKS: Final = "networks"
_ASSUMED: Final = "assumed"
_CONTAINERS: Final = "containers"
_VALUES: Final = "values"
# What these two cannot say; readers that do not know these entries get lists for tuples, and no such numbers.
_TUPLES: Final = "tuples"
_NUMBERS: Final = "numbers"
_MOST_DIGITS: Final = 2000


def header_of(checkpoint: Checkpoint, networks: list[Network], assumed: Sequence[bool], described: bool) -> Header:
    """The header of a state dict, with what `verify` and a torch file need.

    `assumed` tells the networks whose activation is only the likely one.
    """
    mlp = single_mlp(networks)
    extra: dict[str, Cbor] = {}
    if networks and (described or mlp is None):
        extra[_NETWORKS] = [network.to_table() for network in networks]
    if any(assumed):
        extra[_ASSUMED] = [number for number, likely in enumerate(assumed) if likely]
    tuples = [name for name, kind in checkpoint.containers.items() if kind == TUPLE]
    numbers: dict[str, str] = {}
    if checkpoint.containers:
        extra[_CONTAINERS] = {name: min(kind, LIST) for name, kind in checkpoint.containers.items()}
    values = {name: _stored(value, name, tuples, numbers) for name, value in checkpoint.values.items()}
    values = {name: value for name, value in values.items() if name not in numbers}
    extra |= {name: entry for name, entry in ((_VALUES, values), (_TUPLES, tuples), (_NUMBERS, dict(numbers))) if entry}
    if checkpoint.metadata:
        extra[_METADATA] = packed(checkpoint.metadata)
    entries = [TensorEntry(name, tensor.shape, tensor.dtype) for name, tensor in checkpoint.state.items()]
    return Header(STATE, field=None if mlp is None else mlp.to_header(), tensors=entries, extra=extra or None)


def _stored(value: Value, name: str, tuples: list[str], numbers: dict[str, str]) -> Cbor:
    """A value as a header can hold it; the rest of it goes into `tuples` and `numbers`."""
    if isinstance(value, list | tuple):
        if isinstance(value, tuple):
            tuples.append(name)
        return [_stored(item, f"{name}.{number}", tuples, numbers) for number, item in enumerate(value)]
    wide = type(value) is int and not -(2**63) <= value < 2**63
    if wide or (isinstance(value, float) and not math.isfinite(value)):
        numbers[name] = str(value)
        return None
    return value


def _restored(value: Any, name: str, tuples: set[str], numbers: Mapping[str, Value]) -> Any:
    """The inverse of `_stored`."""
    if not isinstance(value, list):
        return numbers.get(name, value)
    items = [_restored(item, f"{name}.{number}", tuples, numbers) for number, item in enumerate(value)]
    return tuple(items) if name in tuples else items


def _number(text: object) -> int | float | None:
    if isinstance(text, str) and len(text) <= _MOST_DIGITS:
        if text in ("inf", "-inf", "nan"):
            return float(text)
        if text.removeprefix("-").isdecimal():
            return int(text)
    return None


def single_mlp(networks: list[Network]) -> MLP | None:
    """The field that the only network is; None where there are others, or where it is no `MLP`."""
    if len(networks) != 1 or not isinstance(networks[0], Chain):
        return None
    return networks[0].mlp()


def network_names(header: Header) -> list[str]:
    """Kind and prefix, such as "nerf fine.", of each network that a file says it holds beside its `field`."""
    tables = [table for table in tables_in(header) or () if isinstance(table, dict)]
    return [f"{table.get('kind', Chain.KIND)!s:.40} {table.get('prefix', '')!s:.200}".strip() for table in tables]


def tables_in(header: Header) -> list[object] | None:
    """The tables of the networks, as the file has them; None where it has no list of them."""
    tables = (header.extra or {}).get(_NETWORKS)
    return tables if isinstance(tables, list) else None


def is_assumed(header: Header) -> bool:
    """Whether an activation of the networks that a file holds is only the likely one."""
    return bool((header.extra or {}).get(_ASSUMED))


def surroundings(header: Header) -> dict[str, dict[str, Any]]:
    """Nesting, values and metadata from a header; a file may hold nonsense there, which counts as nothing."""
    extra = header.extra or {} if header.kind == STATE else {}

    def entry(name: str) -> dict[str, Any]:
        found = extra.get(name)
        return {key: value for key, value in found.items() if isinstance(key, str)} if isinstance(found, dict) else {}

    listed = extra.get(_TUPLES)
    tuples = {name for name in listed if isinstance(name, str)} if isinstance(listed, list) else set()
    numbers = {name: value for name, text in entry(_NUMBERS).items() if (value := _number(text)) is not None}
    containers = {name: TUPLE if kind == LIST and name in tuples else kind for name, kind in entry(_CONTAINERS).items()}
    values = {name: _restored(value, name, tuples, numbers) for name, value in entry(_VALUES).items()}
    inside = tuple(f"{name}." for name, value in values.items() if isinstance(value, list | tuple))
    values |= {name: value for name, value in numbers.items() if not name.startswith(inside)}
    return {"containers": containers, "values": values, "metadata": _metadata(extra)}


def _metadata(extra: Mapping[str, Cbor]) -> dict[str, str]:
    try:
        found = metadata_in(extra)
    except FormatError:
        return {}
    return {name: text for name, text in found.items() if isinstance(text, str)}
