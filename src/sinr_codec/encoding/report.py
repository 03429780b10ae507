"""The report on an encoding."""

import dataclasses
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sinr_codec.encoding.job import Coded, Job
from sinr_codec.encoding.targets import outcome
from sinr_codec.encoding.words import describe_field
from sinr_codec.fields import Field
from sinr_codec.reports import Report
from sinr_codec.signals.base import Quality
from sinr_codec.streams import Output
from sinr_codec.types import Blob


@dataclass(frozen=True, repr=False)
class EncodeReport(Report):
    """Result of `encode`; `print(report)` is a table.

    Attributes
    ----------
    path
        Path of the file, or None.
    kind, unit
        Kind of the signal, and the unit of its rate: "image" and "pixel", "audio" and "sample", ...
    bytes, bpp
        Size of the file in bytes, and its rate in bits a unit.
    source_bytes
        Size of the source's uncompressed samples in their dtype.
    measure, quality, fit_quality
        Name of the quality, its value in dB for the decoded file, and for the networks before coding.
    figures, units, headline
        Further measures of the decoded file, their units, and which of them lead the report, as in `base.Quality`.
    seconds
        Total wall-clock time.
    preset, field, parts
        Preset, field and number of networks: one, or one for each block.
    target
        The requested target, in words; None without a target.
    target_met
        Whether the file meets the target.
    collapsed
        Whether the file is worth nothing: less than 5 dB better than the signal's mean, and not nearly exact.
    shortfall
        Why the file is not what was asked for, in one line: a missed target, or a collapse; None if it is.
    notes
        One-line remarks on omissions and missed targets, with reasons.
    sections
        Bytes by part: "header", each tensor, "side" for the signal's data beside the networks, and "metadata".
    interrupted
        Whether the fit was stopped early.
    blob
        The file's bytes.
    """

    path: Path | None
    kind: str
    unit: str
    bytes: int
    bpp: float
    source_bytes: int
    measure: str
    quality: float
    fit_quality: float
    figures: dict[str, float]
    units: dict[str, str]
    headline: tuple[str, ...]
    seconds: float
    preset: str
    field: Field
    parts: int
    target: str | None
    target_met: bool | None
    collapsed: bool
    shortfall: str | None
    notes: tuple[str, ...]
    sections: dict[str, int]
    interrupted: bool
    blob: Blob = dataclasses.field(repr=False)

    @property
    def title(self) -> str:
        """Path of the file, or its kind."""
        return self.kind if self.path is None else str(self.path)

    def rows(self) -> Iterator[tuple[str, str]]:
        """Names and values for a table."""
        share = self.source_bytes / self.bytes
        ratio = f", 1/{share:.3g} of the samples" if share >= 1 else ""
        yield "size", f"{self.bytes:,} bytes{ratio or f', {1 / share:.3g} times the samples' if share else ''}"
        yield "rate", f"{self.bpp:.3g} bits a {self.unit}"
        yield from self.measured.leading()
        yield self.measure, f"{self.quality:.2f} dB ({self.fit_quality:.2f} dB before coding)"
        yield from self.measured.further()
        yield "time", f"{self.seconds:.1f} s"
        yield "how", f"{self.preset}, {self.kind}, {describe_field(self.field, self.parts)}"
        if self.target is not None:
            yield "target", f"{self.target}: {'met' if self.target_met else 'MISSED'}"

    def __repr__(self) -> str:
        return f"<EncodeReport {self.title}: {self.bytes:,} bytes, {self.measured.brief(self.measure)}>"

    @property
    def psnr(self) -> float:
        """The quality in dB, which is a PSNR for nearly all kinds; see `measure`."""
        return self.quality

    @property
    def measured(self) -> Quality:
        """The quality of the decoded file with all figures."""
        return Quality(self.quality, self.figures, self.units, self.headline)

    @property
    def fit_psnr(self) -> float:
        """As `psnr`, for the networks before coding."""
        return self.fit_quality


def _larger(coded: Coded) -> tuple[str, ...]:
    """A remark on a file that is larger than the source's samples without loss."""
    lossless = coded.quality.figures.get("lossless_bytes", math.inf)
    if len(coded.blob) <= lossless:
        return ()
    return (
        f"the file is larger than the source without loss ({lossless:,.0f} bytes, by xz); a smaller width would do",
    )


def report_on(job: Job, coded: Coded, out: Output | None, seconds: float) -> EncodeReport:
    """The report on a coded file, written to `out` where that is a path."""
    spec, result = job.spec, outcome(job, coded)
    return EncodeReport(
        path=Path(out) if isinstance(out, str | os.PathLike) else None,
        kind=spec.KIND,
        unit=spec.UNIT,
        bytes=len(coded.blob),
        bpp=8 * len(coded.blob) / spec.samples,
        source_bytes=job.signal.source_bytes,
        measure=spec.MEASURE,
        quality=coded.quality.db,
        fit_quality=coded.fit_quality,
        figures=coded.quality.figures,
        units=coded.quality.units,
        headline=coded.quality.headline,
        seconds=seconds,
        preset=job.preset.name,
        field=coded.field,
        parts=spec.parts,
        target=result.target,
        target_met=result.met,
        collapsed=result.collapsed,
        shortfall=result.shortfall,
        notes=(*job.signal.notes, *job.notes, *coded.notes, *result.notes, *_larger(coded)),
        sections=coded.sections,
        interrupted=coded.interrupted,
        blob=coded.blob,
    )
