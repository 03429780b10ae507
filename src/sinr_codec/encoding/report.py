"""What an encoding made."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from sinr_codec.encoding.job import Coded, Job
from sinr_codec.encoding.targets import outcome
from sinr_codec.fields import Field
from sinr_codec.types import Blob, PathLike


@dataclass(frozen=True)
class EncodeReport:
    """What `encode` made.

    Attributes
    ----------
    path
        Where the file was written, or None.
    kind, unit
        Kind of the signal, and what its rate counts: "image" and "pixel", "audio" and "sample", ...
    bytes, bpp
        Size of the file, and bits a unit.
    source_bytes
        The source's samples in their dtype, uncompressed.
    measure, quality, fit_quality
        Name of the quality, in dB for what the file decodes to, and for the networks before they were coded.
    figures
        Further measures of what the file decodes to.
    seconds
        Wall-clock time of everything.
    preset, field, parts
        What was used: one network, or as many as the signal has blocks.
    target
        What the user asked for, in words; None where nothing was asked.
    target_met
        Whether the file keeps it.
    notes
        One-line remarks: what was left out, what was missed, and why.
    sections
        Bytes by part: "header", each tensor, and "side" for what the signal stores beside its networks.
    interrupted
        Whether the fit was stopped before its time.
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
    seconds: float
    preset: str
    field: Field
    parts: int
    target: str | None
    target_met: bool | None
    notes: tuple[str, ...]
    sections: dict[str, int]
    interrupted: bool
    blob: Blob = dataclasses.field(repr=False)

    @property
    def psnr(self) -> float:
        """The quality in dB, which is the PSNR of nearly all kinds; `measure` says of which it is not."""
        return self.quality

    @property
    def fit_psnr(self) -> float:
        """As `psnr`, of the networks before they were coded."""
        return self.fit_quality


def report_on(job: Job, coded: Coded, out: PathLike | None, seconds: float) -> EncodeReport:
    """The report on a file that was made, and written to `out` where there is one."""
    spec, result = job.spec, outcome(job, coded)
    return EncodeReport(
        path=Path(out) if out is not None else None,
        kind=spec.KIND,
        unit=spec.UNIT,
        bytes=len(coded.blob),
        bpp=8 * len(coded.blob) / spec.samples,
        source_bytes=job.signal.source_bytes,
        measure=spec.MEASURE,
        quality=coded.quality.db,
        fit_quality=coded.fit_quality,
        figures=coded.quality.figures,
        seconds=seconds,
        preset=job.preset.name,
        field=coded.field,
        parts=spec.parts,
        target=result.target,
        target_met=result.met,
        notes=(*job.signal.notes, *coded.notes, *result.notes),
        sections=coded.sections,
        interrupted=coded.interrupted,
        blob=coded.blob,
    )
