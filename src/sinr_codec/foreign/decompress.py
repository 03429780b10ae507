"""`decompress`: the tensors of a compressed network, for receivers; needs NumPy alone."""

from sinr_codec.coding.records import CodedNetwork, tensors_of
from sinr_codec.container import BASE, DEFAULT_LIMITS, FIELD, Header, Limits
from sinr_codec.errors import InputError
from sinr_codec.fields import family_of, field_from_header
from sinr_codec.fields.base import manifest_of
from sinr_codec.files import check_output
from sinr_codec.foreign.checkpoints import check_format, write_checkpoint
from sinr_codec.foreign.headers import surroundings
from sinr_codec.sections import (
    Source,
    check_tensors,
    coded_networks,
    load_source,
    naming,
    only,
    within_memory,
)
from sinr_codec.signals import registry
from sinr_codec.streams import Output, as_output
from sinr_codec.types import Array


def decompress(
    source: Source, out: Output | None = None, *, format: str = "safetensors", limits: Limits = DEFAULT_LIMITS
) -> dict[str, Array]:
    """Give back the tensors of a compressed network: the same keys in the same order, shapes and dtypes.

    `out` names a .safetensors, .npz, .pt, .pth or .ckpt file to write, or is an open binary file, which gets this
    `format`. A torch file gets the nesting of the dicts that were compressed, and the plain values in them. A file of a
    signal gives its field's weights.
    """
    if out is None:
        return _state_in(source, limits)[0]
    check_output(out, source)
    with as_output(out, f".{format.removeprefix('.')}") as path:
        check_format(path)
        state, header = _state_in(source, limits)
        write_checkpoint(state, path, **surroundings(header))
    return state


def _state_in(source: Source, limits: Limits) -> tuple[dict[str, Array], Header]:
    header, sections = load_source(source, limits)
    with naming(source), within_memory():
        return state_of(header, sections, limits), header


def state_of(header: Header, sections: list[bytes], limits: Limits) -> dict[str, Array]:
    """The tensors of a file: of a state dict, or of the networks of a signal."""
    if header.base is not None:
        what = "a base" if header.kind == BASE else f"but what is its own beside the base {bytes(header.base).hex()}"
        raise InputError(f"holds {what}, no network that stands by itself")
    limits = limits.of_file(header.file_bytes)
    if header.kind == FIELD:
        field = field_from_header(header.field, limits.max_params)
        number = registry.kind_in_header(header.signal).parts_in(header.signal)
        coded, _ = coded_networks(header, sections, number, limits)
        limits.check("max_params", field.num_params * number)
        check_tensors(manifest_of(field), limits, number, family_of(field).section.decoding)
        parts = [family_of(field).section.decode(field, network) for network in coded]
        if len(parts) == 1:
            return parts[0]
        return {f"{number}.{name}": tensor for number, part in enumerate(parts) for name, tensor in part.items()}
    manifest = [(entry.name, entry.shape, entry.dtype) for entry in header.tensors]
    check_tensors(manifest, limits)
    return tensors_of(manifest, CodedNetwork(only(sections), work=limits.bound("max_work")))
