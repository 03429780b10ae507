"""Encoding one input, in a worker process."""

import os
import warnings
from dataclasses import dataclass

from sinr_codec import __version__
from sinr_codec.batch.places import content_hash, fetched
from sinr_codec.errors import InputError, QualityError, QualityWarning, explain
from sinr_codec.signals.base import Quality
from sinr_codec.types import Options


@dataclass(frozen=True)
class Encoded:
    """The file of an input, with figures of `codec.EncodeReport`; `input_*` as from `places.content_hash`."""

    input_sha256: str
    input_bytes: int
    blob: bytes
    kind: str
    measure: str
    quality: Quality
    bpp: float
    target_met: bool | None
    seconds: float
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Failed:
    """The reason for a failure, in one line."""

    error: str


def failure(error: BaseException, address: str, path: object = None) -> Failed:
    """The failure of an input for an error, where `path` is the local copy that was read."""
    line = explain(error) or " ".join(f"{type(error).__name__}: {error}".split())
    if path is not None:
        line = line.replace(str(path), address)
    return Failed(line if address in line else f"{address}: {line}")


def encode_input(address: str, path: str, options: Options, version: str) -> Encoded | Failed:
    """Encode an input.

    Parameters
    ----------
    address
        Its name in messages.
    path
        Path to read: the address, or a local copy.
    options
        Options of `codec.encode`.
    version
        Required version of this package.
    """
    local = None
    try:
        if version != __version__:
            raise InputError(f"a worker has sinr-codec {__version__}; install {version} there, as here")
        from sinr_codec import codec

        with fetched(path) as local:
            sha256, size = content_hash(os.fspath(local))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", QualityWarning)
                report = codec.encode(local, **options)
            if report.collapsed:
                raise QualityError(f"{address}: not written: {report.shortfall}")
    except Exception as error:  # including any error of a file format's library: other inputs must not be affected
        return failure(error, address, local)
    return Encoded(
        sha256,
        size,
        report.blob,
        report.kind,
        report.measure,
        report.measured,
        report.bpp,
        report.target_met,
        report.seconds,
        report.notes,
    )
