"""Time and memory of signals in blocks, over a 16-fold range of sizes: linear in samples, and constant besides them.

    python benchmarks/blocks.py --image examples/coffee.png [--json FILE]
    python benchmarks/blocks.py --volume FILE [--json FILE]

Pictures of so many megapixels are made of one photograph: mirrored tiles, each a little brighter or darker, so that
no two blocks are the same; and so are volumes, arrays of bytes, of a smaller one. Encoding and decoding run in a
process of their own each, which tells its peak memory. With few steps a block, a narrow network and weights in 16
bits (`--method coin`) the signals look like nothing: it is the cost of everything else that is measured, and a step
or a planner's search costs as much for every block. Memory is told with and without the signals: encoding has two
pictures, the source and what the file decodes to, decoding one, and one more that Pillow makes of it to write PNG,
with four bytes a pixel. A volume that is encoded stays on the disk.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sinr_codec import codec
from sinr_codec.bench.provenance import machine, write_report
from sinr_codec.presets import PRESETS
from sinr_codec.signals import registry

#: Samples a side of a region.
REGION = {"image": 512, "volume": 128}
#: Bytes a sample of the signals that a call has in memory.
HELD = {"image": {"encode": 3 + 3, "decode": 3 + 4, "region": 0}, "volume": {"encode": 0, "decode": 1, "region": 0}}
FILES = {"image": ("picture.png", "decoded.png"), "volume": ("volume.npy", "decoded.npy")}
SETTINGS = ("steps", "width", "block", "method", "threads")
#: Levels that a tile is brighter or darker than the one before, round and round.
SHIFTS = (0, 11, -17, 23, -7, 31, -29)


def tiled(photograph: np.ndarray, side: int) -> np.ndarray:
    """A square picture, uint8 (side, side, 3), of mirrored tiles of a photograph."""
    height, width = photograph.shape[:2]
    out = np.empty((side, side, 3), np.uint8)
    for row in range(-(-side // height)):
        for column in range(-(-side // width)):
            tile = photograph[:: (-1) ** row, :: (-1) ** column].astype(np.int16)
            tile = np.clip(tile + SHIFTS[(row * 3 + column) % len(SHIFTS)], 0, 255)
            place = out[row * height : (row + 1) * height, column * width : (column + 1) * width]
            place[:] = tile[: place.shape[0], : place.shape[1]]
    return out


def tiled_volume(volume: np.ndarray, side: int, path: Path) -> None:
    """A cube, uint8 (side, side, side) in a file, of mirrored tiles of a volume."""
    out = np.lib.format.open_memmap(path, "w+", np.uint8, (side,) * 3)
    for corner in itertools.product(*(range(-(-side // n)) for n in volume.shape)):
        tile = volume[tuple(slice(None, None, (-1) ** k) for k in corner)].astype(np.int16)
        tile = np.clip(tile + SHIFTS[(corner[0] * 9 + corner[1] * 3 + corner[2]) % len(SHIFTS)], 0, 255)
        place = out[tuple(slice(k * n, (k + 1) * n) for k, n in zip(corner, volume.shape))]
        place[:] = tile[tuple(slice(n) for n in place.shape)]


def measured(arguments: argparse.Namespace, what: str, source: Path, out: Path) -> dict[str, Any]:
    """Seconds and peak memory of one call in a fresh process."""
    command = [sys.executable, __file__, "--worker", what, "--source", str(source), "--out", str(out)]
    for name in (*SETTINGS[:-1], "side", "kind"):
        command += [f"--{name}", str(getattr(arguments, name))]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return result


def work(arguments: argparse.Namespace) -> None:
    """One call, its result as JSON; `idle_mb` is the memory before it, libraries included."""
    if arguments.worker == "make":
        # Not in the parent: what a parent had at its peak counts as its children's.
        if arguments.kind == "volume":
            tiled_volume(np.asarray(registry.load(arguments.source).array, np.uint8), arguments.side, arguments.out)
        else:
            photograph = np.asarray(Image.open(arguments.source).convert("RGB"))
            Image.fromarray(tiled(photograph, arguments.side)).save(arguments.out, compress_level=1)
    PRESETS["fast"] = replace(PRESETS["fast"], fit={"steps": arguments.steps, "lr": 2e-3})
    idle = peak_mb()
    began = time.perf_counter()
    result: dict[str, Any] = {"idle_mb": idle}
    if arguments.worker == "encode":
        method = None if arguments.method == "none" else arguments.method
        network: dict[str, Any] = {"block": arguments.block, "width": arguments.width, "depth": 1}
        network["kind"] = arguments.kind
        report = codec.encode(arguments.source, arguments.out, preset="fast", method=method, **network)
        result |= {"bytes": report.bytes, "blocks": report.parts, "psnr": report.psnr, **report.figures}
    elif arguments.worker == "decode":
        codec.decode(arguments.source, arguments.out)
    elif arguments.worker == "region":
        side = REGION[arguments.kind]
        region: Any = [((n - side) // 2, (n + side) // 2) for n in codec.open(arguments.source).shape]
        if arguments.kind == "image":
            (top, bottom), (left, right) = region[:2]
            region = (left, top, right, bottom)
        codec.decode(arguments.source, arguments.out, region=region)
    print(json.dumps(result | {"seconds": time.perf_counter() - began, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Largest memory of this process so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", type=Path, help="a photograph")
    parser.add_argument("--volume", type=Path, help="a volume of bytes")
    parser.add_argument("--mega", type=float, nargs="+", metavar="N", help="millions of samples of each signal")
    parser.add_argument("--steps", type=int, default=20, help="steps a block")
    parser.add_argument("--width", type=int, default=16, help="neurons a layer")
    parser.add_argument("--block", type=int, help="samples a side of a block; default: 512, of a volume 128")
    parser.add_argument("--method", default="coin", help="how weights are coded; none: by the planner")
    parser.add_argument("--threads", type=int, default=1, help="of each matrix product")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--worker", choices=("make", "encode", "decode", "region"), help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--kind", default="image", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        work(arguments)
        return
    original = arguments.image or arguments.volume
    if original is None:
        parser.error("--image, --volume: expected one of them")
    arguments.kind = kind = "image" if arguments.image else "volume"
    arguments.block = arguments.block or {"image": 512, "volume": 128}[kind]
    axes, sample = {"image": (2, 3), "volume": (3, 1)}[kind]

    print(f"machine: {machine()}; {arguments.steps} steps a block, width {arguments.width}")
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        source, out = (Path(folder) / name for name in FILES[kind])
        file = Path(folder) / "signal.sinr"
        for mega in arguments.mega or {"image": (6.25, 25, 100), "volume": (16.777216, 67.1, 268.4)}[kind]:
            arguments.side = side = round((mega * 1e6) ** (1 / axes))
            size = side**axes / 1e6
            measured(arguments, "make", original, source)
            row: dict[str, Any] = {"samples": side**axes, "signal_mb": size * sample}
            for what, a, b in (("encode", source, file), ("decode", file, out), ("region", file, out)):
                found = measured(arguments, what, a, b)
                found["seconds_a_million"] = found["seconds"] / size
                found["beyond_mb"] = found["peak_mb"] - HELD[kind][what] * size
                row[what] = found
                print(
                    f"{size:6.1f} M {what:>6}: {found['seconds']:8.1f} s, "
                    f"{found['seconds_a_million']:6.2f} s a million, peak {found['peak_mb']:6.0f} MB, "
                    f"{found['beyond_mb']:6.0f} MB beyond the {kind}s",
                    flush=True,
                )
            row["region_share"] = row["region"]["seconds"] / row["decode"]["seconds"]
            results.append(row)
            # A run that is stopped has written the sizes that it has done.
            settings = {name: getattr(arguments, name) for name in SETTINGS}
            figures = {"kind": kind, "settings": settings, "region": REGION[kind], "sizes": results}
            write_report(arguments.json, "blocks" if kind == "image" else "blocks-volume", figures)


if __name__ == "__main__":
    main()
