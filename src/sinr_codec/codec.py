"""The verbs for signals: `encode`, and those of the receiver's wing."""

import time
import warnings
from typing import Any, cast

from sinr_codec.arguments import check_replaceable
from sinr_codec.bases import Base
from sinr_codec.decoding import Decoder, decode, open
from sinr_codec.devices import CPU, check_device
from sinr_codec.encoding.job import job_for
from sinr_codec.encoding.report import EncodeReport, report_on
from sinr_codec.encoding.request import Request
from sinr_codec.encoding.targets import reach
from sinr_codec.errors import QualityError, QualityWarning
from sinr_codec.fields import AnyActivation
from sinr_codec.files import check_output, write_bytes
from sinr_codec.inspecting import VerifyReport, info, verify
from sinr_codec.progress import Progress, with_display
from sinr_codec.sections import Source
from sinr_codec.signals import registry
from sinr_codec.streams import Output, name_of
from sinr_codec.types import PathLike

__all__ = ["Decoder", "EncodeReport", "VerifyReport", "decode", "encode", "info", "open", "verify"]


@with_display
def encode(
    source: object,
    out: Output | None = None,
    *,
    preset: str = "balanced",
    method: str | None = None,
    field: str | None = None,
    base: Base | Source | None = None,
    kind: str | None = None,
    width: int | None = None,
    depth: int | None = None,
    activation: AnyActivation | None = None,
    bpp: float | None = None,
    size: int | None = None,
    psnr: float | None = None,
    snr: float | None = None,
    max_error: float | str | None = None,
    lossless: bool = False,
    seconds: float | None = None,
    seed: int = 0,
    device: str = CPU,
    max_drop: float | None = None,
    checkpoint: PathLike | None = None,
    progressive: bool = False,
    strict: bool = False,
    progress: Progress | bool | None = None,
    **options: Any,
) -> EncodeReport:
    """Fit a network to a signal and write it as a `.sinr` file.

    Parameters
    ----------
    source
        A picture, a sound, a volume, a dataset, a video, a shape or a scene: a file, a folder, an array, an open binary
        file (`io.BytesIO`, a pipe), or an object of the library its users use. What it is, is told by its name, type
        and shape, or by its first bytes.
    out
        File to write, or an open binary file; without it the bytes are in the report.
    preset
        "fast", "balanced", "best" or "paper" (SINR as published).
    method
        Code as one of `methods.METHODS` does, such as "coin" or "inric", instead of by the preset's planner. The preset
        says how long to fit; under "paper" a method trains as its authors did, which may take hours. "coinpp" and
        "inric-meta" begin from a base.
    field
        "pyramid", integer latents at several resolutions, or "mlp", a network of coordinates; None for what suits the
        kind: pyramids for pictures, unless a network is described by `width`, `depth` or `activation`.
    base
        What `learning.learn` made, or its file; a decoder needs it, too. Width, depth, activation and the rate follow
        from it.
    kind
        What the source is, where it does not tell: one of `signals.registry.KINDS`, or an extension such as ".stl".
    width, depth, activation
        The network, if it should be a given one: neurons a layer, hidden layers, a `fields` activation.
    max_error, lossless
        A bound on the error of every sample of a picture, a volume or a video: a number in units of the data, or a text
        with a unit or "%" of the range, such as "20HU" and "0.5%"; or no error at all, for integers. The file is
        decoded and compared before it is written. The preset says how long the network that predicts samples is
        trained.
    bpp, size, psnr, snr
        At most one: bits a unit (pixel, sample, voxel, ...), bytes of the file, quality in dB to reach, or SNR in dB
        of a sound to reach. A target that is missed is reported in `EncodeReport.target_met` and `notes`.
        So is a file that is less than 5 dB better than the signal's mean (`collapsed`), and with a `QualityWarning`.
    seconds
        Time for the fit instead of the preset's number of steps.
    seed
        Of the initial weights, the sampling and the dictionaries.
    device
        Where torch fits: "cpu", "cuda", ...
    max_drop
        dB that coding may lose, where neither a target nor the rate of the kind rules it: where a width or this is
        given without a target, under "fast", and with a method. None for 0.1.
    checkpoint
        File in which a fit that is interrupted leaves its state, and from which it goes on. A signal in blocks, or a
        search for a quality, has one file a fit beside it. They stay until the `.sinr` file of uninterrupted fits is
        written.
    progressive
        Put the last bits of all weights behind the rest, so that the beginning of the file decodes at lower quality.
    strict
        Write no file that misses its target or is less than 5 dB better than the signal's mean.
    progress
        Listens to the work; True for a bar on terminals and in notebooks, and lines elsewhere.
    options
        What the kind's own `load` takes, such as the resolution of a shape.

    Raises
    ------
    InputError : an input or an argument that cannot be used
    QualityError : a file that `strict` refuses
    MissingExtraError : PyTorch, or the library of a file format, is not installed
    """
    start = time.perf_counter()
    if out is not None:
        check_output(out, source)
        check_replaceable(out)
    request = Request(
        preset=preset,
        method=method,
        field=field,
        kind=kind,
        width=width,
        depth=depth,
        activation=activation,
        bpp=bpp,
        size=size,
        psnr=psnr,
        snr=snr,
        max_error=max_error,
        lossless=lossless,
        seconds=seconds,
        seed=seed,
        device=device,
        max_drop=max_drop,
        checkpoint=checkpoint,
        progressive=progressive,
    )
    check_device(device)
    with registry.at_hand(source, kind) as there:
        job = job_for(there, request, base, options, cast(Progress, progress), name_of(source))
        coded = reach(job)
        report = report_on(job, coded, out, time.perf_counter() - start)
    named = "" if report.path is None else f"{report.path}: "
    if strict and report.shortfall is not None:
        raise QualityError(f"{named}not written: {report.shortfall}", report)
    if out is not None:
        write_bytes(out, coded.blob)
    if not coded.interrupted:
        job.discard_checkpoints()
    if report.collapsed:
        warnings.warn(f"{named}{report.shortfall}", QualityWarning, stacklevel=3)
    return report
