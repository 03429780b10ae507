"""What a file holds, and whether it is whole and as good as it says."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from sinr_codec.bases import Base, base_in, base_of
from sinr_codec.coding.records import describe_records
from sinr_codec.container import BASE, DEFAULT_LIMITS, FIELD, Limits
from sinr_codec.decoding import described, opened
from sinr_codec.errors import InputError
from sinr_codec.fields import family_of, field_from_header
from sinr_codec.foreign.decompress import state_of
from sinr_codec.foreign.headers import network_names
from sinr_codec.quality import VERIFY_SLACK
from sinr_codec.sections import Source, load_source, naming, only, part_name
from sinr_codec.signals import registry
from sinr_codec.signals.options import check_options


def info(source: Source, *, base: Base | Source | None = None, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Tell what a file holds, without decoding it: kind, field, bytes by part, how each tensor is coded.

    Of a file that needs a base, without that, it tells which, and what can be told. The result is ready for JSON.
    """
    header, sections = load_source(source, limits)
    with naming(source):
        size = header.header_bytes + sum(len(section) + 4 for section in sections)
        answer: dict[str, Any] = {
            "kind": {FIELD: "signal", BASE: "base"}.get(header.kind, "network"),
            "bytes": size,
            "quality_db": None if header.quality is None else header.quality / 100,
        }
        if header.kind == BASE:
            itself = base_in(header, sections, limits)
            answer |= {
                "base": itself.digest.hex(),
                "receiver_bytes": itself.receiver_bytes,
                "patch": list(itself.patch),
            }
            answer |= {"field": itself.field.describe(), "parameters": itself.field.num_params}
            return answer | {"tensors": [], "header_bytes": header.header_bytes}
        if isinstance(header.base, bytes):
            answer["base"] = header.base.hex()
            if base is None:
                spec = registry.spec_from_header(header.signal, b"".join(sections[1:]))
                answer |= {"signal": spec.describe(), "bpp": 8 * size / spec.samples, "unit": spec.UNIT}
                return answer | {"measure": spec.MEASURE, "tensors": [], "header_bytes": header.header_bytes}
        shared = base_of(header, base, limits)
        if header.kind == FIELD:
            network, spec, records = described(header, sections, limits, shared)
            answer["measure"] = spec.MEASURE
            answer["field"] = network.describe()
            answer["networks"] = len(records)
            answer["parameters"] = network.num_params * len(records)
            answer["signal"] = spec.describe()
            answer["bpp"] = 8 * size / spec.samples
            answer["unit"] = spec.UNIT
            answer["side_bytes"] = len(spec.side)
            codec = family_of(network).section
            parts = [codec.describe(network, coded.section) for coded in records]
        else:
            if header.field is not None:
                answer["field"] = field_from_header(header.field, limits.max_params).describe()
            elif names := network_names(header):
                answer["field"] = ", ".join(names)
            answer["parameters"] = sum(entry.size for entry in header.tensors)
            manifest = [(entry.name, entry.shape, entry.dtype) for entry in header.tensors]
            records = []
            parts = [describe_records(manifest, only(sections))]
        answer["tensors"] = [
            tensor | {"name": part_name(number, len(parts), tensor["name"])}
            for number, tensors in enumerate(parts)
            for tensor in tensors
        ]
        if header.planes:
            answer["plane_bytes"] = [sum(map(len, plane)) for plane in zip(*(coded.planes for coded in records))]
        known = [answer.get("side_bytes", 0), *answer.get("plane_bytes", ()), *(t["bytes"] for t in answer["tensors"])]
        answer["header_bytes"] = size - sum(known)
        answer["bits_per_parameter"] = 8 * size / max(answer["parameters"], 1)
        return answer


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found: whether all is well, and one line for each check.

    `measured` is the quality in dB against what the file was compared with, `recorded` what the file promises,
    `figures` further measures.
    """

    ok: bool
    lines: tuple[str, ...]
    measured: float | None = None
    recorded: float | None = None
    figures: dict[str, float] = dataclasses.field(default_factory=dict)


def verify(
    source: Source,
    against: Any = None,
    *,
    base: Base | Source | None = None,
    limits: Limits = DEFAULT_LIMITS,
    **options: Any,
) -> VerifyReport:
    """Check every checksum and decode everything; with `against`, measure the quality and compare it.

    `against` is the signal that was encoded, or the network that was compressed; `options` are those it was read
    with. The report is not ok where the quality is below what the file records.

    Raises
    ------
    SinrError : a file that is damaged or cannot be decoded
    """
    header, sections = load_source(source, limits)
    recorded = None if header.quality is None else header.quality / 100
    lines = [f"checksums: {1 + len(sections)} of {1 + len(sections)} match"]
    figures: dict[str, float] = {}
    with naming(source):
        if header.kind == FIELD:
            decoder = opened(source, header, sections, limits, base)
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
        quality = registry.load(against, like=decoder.spec, **options).quality(decoder.render)
        measured, what, figures = quality.db, decoder.spec.MEASURE, quality.figures
    else:
        from sinr_codec.foreign.fidelity import compare_networks

        measured, what = compare_networks(header, against, state)
    ok = recorded is None or measured >= recorded - VERIFY_SLACK
    promise = "none recorded" if recorded is None else f"{recorded:.2f} dB recorded"
    lines.append(f"{what}: {measured:.2f} dB measured, {promise}: {'ok' if ok else 'BELOW'}")
    lines += [f"{name}: {value:.6g}" for name, value in figures.items()]
    return VerifyReport(ok, tuple(lines), measured, recorded, figures)
