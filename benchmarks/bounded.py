"""Files within a bound on the error of every sample, beside the usual codecs at the same bound.

    python benchmarks/bounded.py --data DIR [--signals mri,ct,u,v] [--preset balanced] [--json FILE]

DIR has volume/, geo/ and kodak/ with the signals of `SIGNALS`. Ours are whole `.sinr` files. The usual codecs are those
of floats (SZ3, SPERR, zfp), with the samples of integers rounded afterwards, so that they may use half a level more;
JPEG-LS of slices; and without loss also JPEG XL and PNG of slices, zstd with bit shuffling, and pcodec. Each is
tried along every axis or in every order of axes, and the smallest counts. Everything is decoded, and an error above the
bound ends the program. The report is written after each row.
"""

import argparse
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import imagecodecs
import numpy as np

import sinr_codec
from sinr_codec.bench.provenance import write_report
from sinr_codec.bench.tables import table
from sinr_codec.signals import registry

ROUNDING = 0.4999
"""What rounding to integers leaves to a codec of floats beyond a whole bound."""


class Case(NamedTuple):
    """A signal, in words and as a file below the data, and bounds in its units."""

    file: str
    bounds: tuple[float, ...]
    variable: str = ""


SIGNALS = {
    "mri": Case("volume/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz", (0, 1, 4)),
    "ct": Case("volume/totalseg_example_ct.nii.gz", (0, 2, 20)),
    "u": Case("geo/eraint_uvz.nc", (0.1,), "u"),
    "v": Case("geo/eraint_uvz.nc", (0.1,), "v"),
    "kodim03": Case("kodak/kodim03.png", (0, 2)),
    "kodim13": Case("kodak/kodim13.png", (0, 2)),
}

Rival = tuple[str, Callable[[], bytes], Callable[[bytes], np.ndarray]]


def samples_of(data: Path, case: Case) -> np.ndarray:
    """The samples of a signal, as our encoder reads them."""
    if case.variable:
        import xarray

        with xarray.open_dataset(data / case.file) as opened:
            return np.asarray(opened[case.variable].values, np.float32)
    signal: Any = registry.load(data / case.file)
    return np.ascontiguousarray(signal.array)


def floats(array: np.ndarray, bound: float) -> Iterator[Rival]:
    """Codecs of floats, in every order of the axes; slices of four axes are joined."""
    integers = array.dtype.kind in "iu"
    bound = bound + ROUNDING if integers else bound
    source = array.reshape(-1, *array.shape[-2:]) if array.ndim > 3 else array
    orders = itertools.permutations(range(source.ndim)) if source.shape[-1] > 4 else [tuple(range(source.ndim))]
    for order in orders:
        moved = np.ascontiguousarray(source.transpose(order), np.float32)

        def back(found: np.ndarray, order: tuple[int, ...] = order, shape: tuple[int, ...] = moved.shape) -> np.ndarray:
            found = np.asarray(found).reshape(shape).transpose(np.argsort(order)).reshape(array.shape)
            return np.rint(found).clip(array.min(), array.max()).astype(array.dtype) if integers else found

        yield (
            "SZ3",
            lambda m=moved: bytes(imagecodecs.sz3_encode(m, mode="abs", abs=bound)),
            lambda blob, m=moved, back=back: back(imagecodecs.sz3_decode(blob, m.shape, np.float32)),
        )
        yield (
            "zfp",
            lambda m=moved: bytes(imagecodecs.zfp_encode(m, level=bound, mode="a")),
            lambda blob, back=back: back(imagecodecs.zfp_decode(blob)),
        )
        yield (
            "SPERR",
            lambda m=moved: bytes(imagecodecs.sperr_encode(m, level=bound, mode="pwe")),
            lambda blob, back=back: back(imagecodecs.sperr_decode(blob)),
        )


def slices(array: np.ndarray, bound: float) -> Iterator[Rival]:
    """Codecs of pictures, for slices across each axis; integers of 16 bits begin from 0."""
    lowest = 0 if array.dtype == np.uint8 else int(array.min())
    shifted = array if array.dtype == np.uint8 else (array.astype(np.int64) - lowest).astype(np.uint16)
    is_picture = array.shape[-1] in (3, 4)
    for axis in range(1 if is_picture else array.ndim):
        pictures = [np.ascontiguousarray(p) for p in ([shifted] if is_picture else np.moveaxis(shifted, axis, 0))]

        def back(found: Iterator[np.ndarray], axis: int = axis) -> np.ndarray:
            stack = np.stack([np.asarray(each).astype(np.int64) for each in found]) + lowest
            return (stack[0] if is_picture else np.moveaxis(stack, 0, axis)).astype(array.dtype)

        def rival(name: str, encode: Callable, decode: Callable, pictures: Any = pictures, back: Any = back) -> Rival:
            return name, lambda: _joined(map(encode, pictures)), lambda blob: back(map(decode, _split(blob)))

        yield rival("JPEG-LS", lambda p: imagecodecs.jpegls_encode(p, level=int(bound)), imagecodecs.jpegls_decode)
        if bound == 0:
            yield rival(
                "JPEG XL", lambda p: imagecodecs.jpegxl_encode(p, lossless=True, effort=7), imagecodecs.jpegxl_decode
            )
            yield rival("PNG", lambda p: imagecodecs.png_encode(p, level=9), imagecodecs.png_decode)


def numbers(array: np.ndarray) -> Iterator[Rival]:
    """Codecs of numbers, without loss."""
    yield (
        "zstd, bits shuffled",
        lambda: bytes(imagecodecs.blosc2_encode(array, level=9, compressor="zstd", shuffle="bitshuffle")),
        lambda blob: np.frombuffer(imagecodecs.blosc2_decode(blob), array.dtype).reshape(array.shape),
    )
    wide = array.astype(np.int32)  # pcodec has no numbers of 8 bits
    yield (
        "pcodec",
        lambda: bytes(imagecodecs.pcodec_encode(wide, level=12)),
        lambda blob: imagecodecs.pcodec_decode(blob, shape=wide.shape, dtype=wide.dtype).astype(array.dtype),
    )


def _joined(blobs: Iterator[bytes]) -> bytes:
    return b"".join(len(b).to_bytes(4, "little") + b for b in map(bytes, blobs))


def _split(blob: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(blob):
        size = int.from_bytes(blob[at : at + 4], "little")
        yield blob[at + 4 : at + 4 + size]
        at += 4 + size


def rivals(array: np.ndarray, bound: float) -> dict[str, dict[str, float]]:
    """The smallest of each usual codec: its bytes and its largest error."""
    integers = array.dtype.kind in "iu"
    found: dict[str, dict[str, float]] = {}
    tried = [*floats(array, bound), *(slices(array, bound) if integers else ())]
    tried += numbers(array) if integers and bound == 0 else ()
    for name, encode, decode in tried:
        blob = encode()
        error = float(np.abs(decode(blob).astype(np.float64) - array).max())
        if error > bound:
            raise SystemExit(f"{name}: an error of {error:g} at a bound of {bound:g}")
        if name not in found or len(blob) < found[name]["bytes"]:
            found[name] = {"bytes": len(blob), "max_error": error}
    return found


def ours(array: np.ndarray, source: object, bound: float, preset: str) -> dict[str, Any]:
    """Bytes, largest and mean error, and seconds of CPU time of our file."""
    wanted = {"max_error": bound} if bound else {"lossless": True}
    start = time.process_time()
    report = sinr_codec.encode(source, preset=preset, progress=False, **wanted)
    encoded = time.process_time()
    decoded = np.asarray(sinr_codec.decode(report.blob)).reshape(array.shape)
    seconds = {"encode_cpu_seconds": encoded - start, "decode_cpu_seconds": time.process_time() - encoded}
    off = np.abs(decoded.astype(np.float64) - array)
    if off.max() > bound:
        raise SystemExit(f"ours: an error of {off.max():g} at a bound of {bound:g}")
    quality = {"max_error": float(off.max()), "mean_error": float(off.mean())}
    return {"bytes": report.bytes, **quality, **{name: round(each, 2) for name, each in seconds.items()}}


def in_words(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table: bytes, and ours against the smallest of the others."""
    names = list(dict.fromkeys(name for row in rows for name in row["others"]))
    lines = []
    for row in rows:
        size, others = row["ours"]["bytes"], {name: each["bytes"] for name, each in row["others"].items()}
        best = min(others, key=others.__getitem__)
        bound = f"{row['bound']:g}" if row["bound"] else "lossless"
        cells = [f"{others[name]:,.0f}" if name in others else "-" for name in names]
        lines.append([row["signal"], bound, f"{size:,}", f"{100 * (size / others[best] - 1):+.1f} ({best})", *cells])
    return table(["signal", "largest error", "ours, bytes", "against the best, %", *names], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the signals")
    parser.add_argument("--signals", type=lambda text: text.split(","), default=list(SIGNALS))
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for name in args.signals:
        case = SIGNALS[name]
        array = samples_of(args.data, case)
        source = array if case.variable else args.data / case.file
        for bound in case.bounds:
            found = ours(array, source, bound, args.preset)
            row = {"signal": name, "shape": array.shape, "dtype": str(array.dtype), "bound": bound, "ours": found}
            rows.append(row | {"others": rivals(array, bound)})
            print(in_words(rows[-1:]), flush=True)
            write_report(args.json, "bounded", {"preset": args.preset, "rows": rows})
    print(in_words(rows))


if __name__ == "__main__":
    main()
