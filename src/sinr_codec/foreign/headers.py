"""The header of a compressed state dict: its tensors, and in `Header.extra` the networks, nesting and plain values."""

from __future__ import annotations

from typing import Final

from sinr_codec.container import STATE, Header, TensorEntry
from sinr_codec.fields import MLP
from sinr_codec.foreign.chain import Chain
from sinr_codec.foreign.checkpoints import Checkpoint
from sinr_codec.foreign.tables import Network
from sinr_codec.types import Cbor, JsonObject

_NETWORKS: Final = "networks"
_CONTAINERS: Final = "containers"  # the names of `Checkpoint`'s attributes
_VALUES: Final = "values"


def header_of(checkpoint: Checkpoint, networks: list[Network], described: bool) -> Header:
    """The header of a state dict, with what `verify` and a torch file need."""
    mlp = single_mlp(networks)
    extra: dict[str, Cbor] = {}
    if networks and (described or mlp is None):
        extra[_NETWORKS] = [network.to_table() for network in networks]
    if checkpoint.containers:
        extra[_CONTAINERS] = dict(checkpoint.containers)
    if checkpoint.values:
        extra[_VALUES] = {name: _listed(value) for name, value in checkpoint.values.items()}
    entries = [TensorEntry(name, tensor.shape, tensor.dtype) for name, tensor in checkpoint.state.items()]
    return Header(STATE, field=None if mlp is None else mlp.to_header(), tensors=entries, extra=extra or None)


def _listed(value: Cbor) -> Cbor:
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


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


def surroundings(header: Header) -> dict[str, JsonObject]:
    """Nesting and values from a header; a file may hold nonsense there, which counts as nothing."""
    extra = header.extra or {} if header.kind == STATE else {}
    maps = {name: extra.get(name) for name in (_CONTAINERS, _VALUES)}
    return {
        name: {key: value for key, value in found.items() if isinstance(key, str)} if isinstance(found, dict) else {}
        for name, found in maps.items()
    }
