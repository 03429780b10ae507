"""Inspection and verification of files."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from sinr_codec.bases import Base, base_in, base_of, named_base
from sinr_codec.coding.records import describe_records
from sinr_codec.container import BASE, DEFAULT_LIMITS, FIELD, Header, Limits
from sinr_codec.decoding import Decoder, described, opened
from sinr_codec.errors import FormatError, InputError
from sinr_codec.fields import Decodable, family_of, field_from_header
from sinr_codec.foreign.decompress import state_of
from sinr_codec.foreign.headers import network_names
from sinr_codec.quality import VERIFY_SLACK
from sinr_codec.sections import Source, check_tensors, load_source, naming, only, part_name, within_memory
from sinr_codec.signals import registry
from sinr_codec.signals.base import Quality, Spec
from sinr_codec.signals.metadata import metadata_in, packed_in, sizes
from sinr_codec.signals.options import check_options
from sinr_codec.streams import name_of
from sinr_codec.types import JsonObject, Options


def info(source: Source, *, base: Base | Source | None = None, limits: Limits = DEFAULT_LIMITS) -> JsonObject:
    """Describe a file without decoding it: kind, field, bytes by part, coding of each tensor.

    For a file whose base is not given, the result has the base's id and everything known without the base. The result
    is ready for JSON.
    """
    header, sections = load_source(source, limits)
    with naming(source), within_memory():
        size = header.file_bytes
        about: JsonObject = {
            "kind": {FIELD: "signal", BASE: "base"}.get(header.kind, "network"),
            "bytes": size,
            "quality_db": None if header.quality is None else header.quality / 100,
        }
        if data := packed_in(header.extra):
            about |= {"metadata": _metadata_sizes(header), "metadata_bytes": len(data)}
        if header.kind == BASE:
            return about | _of_base(header, named_base(header, sections, limits))
        if isinstance(header.base, bytes):
            about["base"] = header.base.hex()
            if base is None:
                return about | _without_base(header, sections, size)
        if header.kind == FIELD:
            about |= _of_signal(header, sections, size, limits, base_of(header, base, limits))
        else:
            about |= _of_network(header, sections, limits)
        known = [
            about.get("side_bytes", 0),
            about.get("metadata_bytes", 0),
            *about.get("plane_bytes", ()),
            *(t["bytes"] for t in about["tensors"]),
        ]
        about["header_bytes"] = size - sum(known)
        about["bits_per_parameter"] = 8 * size / max(about["parameters"], 1)
        return about


def _metadata_sizes(header: Header) -> dict[str, int] | None:
    """Bytes of each item of a file's metadata, unpacked; None for damaged metadata, which no decoder needs."""
    try:
        return sizes(metadata_in(header.extra))
    except FormatError:
        return None


def _of_base(header: Header, base: Base) -> JsonObject:
    return {
        "base": base.digest.hex(),
        "receiver_bytes": base.receiver_bytes,
        "patch": list(base.patch),
        "field": base.field.describe(),
        "parameters": base.field.num_params,
        "tensors": [],
        "header_bytes": header.header_bytes,
    }


def _without_base(header: Header, sections: list[bytes], size: int) -> JsonObject:
    spec = registry.spec_from_header(header.signal, b"".join(sections[1:]))
    about = {"signal": spec.describe(), "bpp": 8 * size / spec.samples, "unit": spec.UNIT, "measure": spec.MEASURE}
    return about | {"tensors": [], "header_bytes": header.header_bytes}


def _of_signal(header: Header, sections: list[bytes], size: int, limits: Limits, base: Base | None) -> JsonObject:
    network, spec, networks = described(header, sections, limits, base)
    section = family_of(network).section
    about = {
        "measure": spec.MEASURE,
        "field": network.describe(),
        "exact": header.exact or network.INTEGERS,
        **_bound(network, spec),
        "networks": len(networks),
        "parameters": network.num_params * len(networks),
        "signal": spec.describe(),
        "bpp": 8 * size / spec.samples,
        "unit": spec.UNIT,
        "side_bytes": len(spec.side),
        "tensors": [
            tensor | {"name": part_name(number, len(networks), tensor["name"])}
            for number, coded in enumerate(networks)
            for tensor in section.describe(network, coded.section)
        ],
    }
    if header.planes:
        about["plane_bytes"] = [sum(map(len, plane)) for plane in zip(*(coded.planes for coded in networks))]
    return about


def _bound(network: Decodable, spec: Spec) -> JsonObject:
    """The largest error of a sample in units of the data, where the field promises one."""
    steps, levels = getattr(network, "steps", None), getattr(spec, "levels", None)
    if steps is None or levels is None:
        return {}
    return {"max_error": levels.error_within(max(steps)) * getattr(spec, "slope", 1.0)}


def _of_network(header: Header, sections: list[bytes], limits: Limits) -> JsonObject:
    about: JsonObject = {}
    if header.field is not None:
        about["field"] = field_from_header(header.field, limits.max_params).describe()
    elif names := network_names(header):
        about["field"] = ", ".join(names)
    about["parameters"] = sum(entry.size for entry in header.tensors)
    manifest = [(entry.name, entry.shape, entry.dtype) for entry in header.tensors]
    check_tensors(manifest, limits.of_file(header.file_bytes))
    return about | {"tensors": describe_records(manifest, only(sections))}


def _quality(against: object, decoder: Decoder, name: str, options: Options) -> Quality:
    """The quality of a file against its source; an error says which of the two has which shape."""
    signal = registry.load(against, like=decoder.spec, **options)
    try:
        return signal.quality(decoder.render)
    except InputError as error:
        shapes = [" x ".join(map(str, spec.describe()["shape"])) for spec in (signal.spec, decoder.spec)]
        if shapes[0] == shapes[1]:
            raise
        raise InputError(f"{name_of(against)}: is {shapes[0]}, but {name} holds {shapes[1]}") from error


@dataclass(frozen=True)
class VerifyReport:
    """Result of `verify`: whether all checks passed, and one line for each.

    `measured` is the quality in dB against the given source, `recorded` the quality in the file; `figures` are further
    measures, with their `units`, and `headline` tells which of them lead, as in `base.Quality`.
    """

    ok: bool
    lines: tuple[str, ...]
    measured: float | None = None
    recorded: float | None = None
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    units: dict[str, str] = dataclasses.field(default_factory=dict)
    headline: tuple[str, ...] = ()


def verify(
    source: Source,
    against: object = None,
    *,
    base: Base | Source | None = None,
    limits: Limits = DEFAULT_LIMITS,
    **options: Any,
) -> VerifyReport:
    """Check all checksums and decode everything; with `against`, also measure and compare the quality.

    `against` is the encoded signal or the compressed network; `options` are those for reading it. The report is not ok
    if the quality is below the recorded one.

    Raises
    ------
    SinrError : a file that is damaged or cannot be decoded
    """
    if against is None and options:
        raise InputError(f"{next(iter(options))}: is for reading the source; name that with against (--against FILE)")
    header, sections = load_source(source, limits)
    recorded = None if header.quality is None else header.quality / 100
    lines = [f"checksums: {1 + len(sections)} of {1 + len(sections)} match"]
    with naming(source), within_memory():
        if header.kind == FIELD:
            decoder = opened(source, header, sections, limits, base)
            metadata_in(header.extra)
            if against is None:
                lines.append(f"decoded: {decoder.spec.summary(decoder.render())}")
        elif header.kind == BASE:
            if against is not None:
                raise InputError("against: a base stands for no signal; leave it out")
            itself = base_in(header, sections, limits)
            lines.append(f"decoded: base {itself.digest.hex()}, {itself.field.num_params:,} numbers")
        else:
            state = state_of(header, sections, limits)
            lines.append(f"decoded: {len(state)} tensors, {sum(tensor.size for tensor in state.values()):,} numbers")
    if against is None:
        return VerifyReport(True, tuple(lines), None, recorded)
    if header.kind == FIELD:
        kind = registry.kind_named(decoder.spec.KIND)
        check_options(kind.signal.load, options, f"{kind.name} input")
        quality = _quality(against, decoder, name_of(source), options)
        what = decoder.spec.MEASURE
    else:
        from sinr_codec.foreign.fidelity import compare_networks

        measured, what = compare_networks(header, against, state)
        quality = Quality(measured)
    ok = recorded is None or quality.db >= recorded - VERIFY_SLACK
    promise = "none recorded" if recorded is None else f"{recorded:.2f} dB recorded"
    lines += [f"{name}: {value}" for name, value in quality.leading()]
    lines.append(f"{what}: {quality.db:.2f} dB measured, {promise}: {'ok' if ok else 'BELOW'}")
    lines += [f"{name}: {value}" for name, value in quality.further()]
    return VerifyReport(ok, tuple(lines), quality.db, recorded, quality.figures, quality.units, quality.headline)
