"""Files of coded networks: assembly and measurement of the quality."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from sinr_codec.bases import Base
from sinr_codec.coding.assembled import Plan
from sinr_codec.container import FIELD, MAX_QUALITY, OWN_LIMITS, Header, write
from sinr_codec.decoding import open
from sinr_codec.fields import Field, family_of
from sinr_codec.fields.base import Exact
from sinr_codec.inspecting import info
from sinr_codec.quality import hundredths
from sinr_codec.sections import part_name, section_bytes
from sinr_codec.signals.base import Quality, Signal, Spec
from sinr_codec.signals.metadata import KEY, entry


def file_of(
    signal: Signal,
    network: Field,
    plans: Sequence[Plan],
    base: Base | None = None,
    planes: int = 0,
    metadata: bytes = b"",
) -> tuple[bytes, Quality]:
    """The file of a signal's coded networks, and its quality, measured by decoding it.

    With `planes`, that many low-order bits of the weights are in separate sections at the end. `metadata` is packed.
    """
    spec = signal.spec
    digest = None if base is None else base.digest
    exact = network.EXACT and all(cast(Exact, network).is_exact(plan.params) for plan in plans)
    header = Header(
        FIELD,
        network.to_header(),
        spec.to_header(),
        base=digest,
        planes=planes,
        exact=exact,
        extra=entry(metadata),
    )
    codec = family_of(network).section
    coded = [codec.assemble(network, plan.records, planes) for plan in plans]
    sections = [one.section for one in coded] + ([spec.side] if spec.side else [])
    sections += [one.planes[number] for number in range(planes) for one in coded]
    decoder = open(write(header, sections), base=base, limits=OWN_LIMITS)
    quality = signal.quality(partial(decoder.spec.render, decoder.fields))
    return write(replace(header, quality=hundredths(quality.db)), sections), quality


def overhead(spec: Spec, network: Field, records: Sequence[bytes], planes: int, metadata: bytes = b"") -> int:
    """Overhead of a file beside the records of its networks, in bytes, with the longest header."""
    extra = entry(metadata)
    header = Header(FIELD, network.to_header(), spec.to_header(), quality=MAX_QUALITY, planes=planes, extra=extra)
    header = replace(header, exact=network.EXACT)
    coded = [*records, *(record[:256] for record in list(records) * planes)]
    return len(write(header, coded + ([spec.side] if spec.side else []))) - sum(map(len, coded))


def sizes_by_part(
    plans: Sequence[Plan], side: bytes, blob: bytes, planes: int = 0, metadata: bytes = b""
) -> dict[str, int]:
    """Bytes by part of a file: each record, the side section, planes, metadata, and "header" for the rest."""
    beside = {name: data for name, data in (("side", side), (KEY, metadata)) if data}
    if planes:
        about = info(blob, limits=OWN_LIMITS)
        sizes = {tensor["name"]: tensor["bytes"] for tensor in about["tensors"]}
        sizes |= {f"plane {number}": size for number, size in enumerate(about["plane_bytes"], 1)}
        return sizes | {name: len(data) for name, data in beside.items()} | {"header": about["header_bytes"]}
    records = {
        part_name(number, len(plans), name): record
        for number, coded in enumerate(plans)
        for name, record in coded.records.items()
    }
    return section_bytes(records | beside, blob)
