"""Time and memory of pictures in blocks, over a 16-fold range of sizes: linear in pixels, and constant besides them.

    python benchmarks/blocks.py --image examples/coffee.png [--json FILE]

Pictures of so many megapixels are made of one photograph: mirrored tiles, each a little brighter or darker, so that no
two blocks are the same. Encoding and decoding run in a process of their own each, which tells its peak memory. With few
steps a block, a narrow network and weights in 16 bits (`--method coin`) the pictures look like nothing: it is the cost
of everything else that is measured, and a step or a planner's search costs as much for every block. Memory is told with
and without the pictures: encoding has two, the source and what the file decodes to, decoding one, and one more that
Pillow makes of it to write PNG, with four bytes a pixel.
"""

from __future__ import annotations

import argparse
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

REGION = 512
#: Bytes a pixel of the pictures that a call has in memory.
PICTURES = {"encode": 3 + 3, "decode": 3 + 4, "region": 0}
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


def measured(arguments: argparse.Namespace, what: str, source: Path, out: Path) -> dict[str, Any]:
    """Seconds and peak memory of one call in a fresh process."""
    command = [sys.executable, __file__, "--worker", what, "--source", str(source), "--out", str(out)]
    for name in (*SETTINGS[:-1], "side"):
        command += [f"--{name}", str(getattr(arguments, name))]
    environment = os.environ | {"OMP_NUM_THREADS": str(arguments.threads)}
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(output.strip().splitlines()[-1])
    return result


def work(arguments: argparse.Namespace) -> None:
    """One call, its result as JSON; `idle_mb` is the memory before it, libraries included."""
    if arguments.worker == "make":
        # Not in the parent: what a parent had at its peak counts as its children's.
        photograph = np.asarray(Image.open(arguments.source).convert("RGB"))
        Image.fromarray(tiled(photograph, arguments.side)).save(arguments.out, compress_level=1)
    PRESETS["fast"] = replace(PRESETS["fast"], fit={"steps": arguments.steps, "lr": 2e-3})
    idle = peak_mb()
    began = time.perf_counter()
    result: dict[str, Any] = {"idle_mb": idle}
    if arguments.worker == "encode":
        method = None if arguments.method == "none" else arguments.method
        network: dict[str, Any] = {"block": arguments.block, "width": arguments.width, "depth": 1}
        report = codec.encode(arguments.source, arguments.out, preset="fast", method=method, **network)
        result |= {"bytes": report.bytes, "blocks": report.parts, "psnr": report.psnr, **report.figures}
    elif arguments.worker == "decode":
        codec.decode(arguments.source, arguments.out)
    elif arguments.worker == "region":
        left, top = ((n - REGION) // 2 for n in codec.open(arguments.source).shape[1::-1])
        codec.decode(arguments.source, arguments.out, region=(left, top, left + REGION, top + REGION))
    print(json.dumps(result | {"seconds": time.perf_counter() - began, "peak_mb": peak_mb()}))


def peak_mb() -> float:
    """Largest memory of this process so far, in MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", type=Path, help="a photograph")
    parser.add_argument("--megapixels", type=float, nargs="+", default=[6.25, 25, 100])
    parser.add_argument("--steps", type=int, default=20, help="steps a block")
    parser.add_argument("--width", type=int, default=16, help="neurons a layer")
    parser.add_argument("--block", type=int, default=512, help="pixels a side of a block")
    parser.add_argument("--method", default="coin", help="how weights are coded; none: by the planner")
    parser.add_argument("--threads", type=int, default=1, help="of each matrix product")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--worker", choices=("make", "encode", "decode", "region"), help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, default=0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        work(arguments)
        return
    if arguments.image is None:
        parser.error("--image: expected a photograph")

    print(f"machine: {machine()}; {arguments.steps} steps a block, width {arguments.width}")
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        source, file, out = (Path(folder) / name for name in ("picture.png", "picture.sinr", "decoded.png"))
        for megapixels in arguments.megapixels:
            arguments.side = side = round((megapixels * 1e6) ** 0.5)
            measured(arguments, "make", arguments.image, source)
            row: dict[str, Any] = {"pixels": side * side, "picture_mb": side * side * 3 / 1e6}
            for what, a, b in (("encode", source, file), ("decode", file, out), ("region", file, out)):
                found = measured(arguments, what, a, b)
                found["seconds_a_megapixel"] = found["seconds"] / (side * side / 1e6)
                found["beyond_mb"] = found["peak_mb"] - PICTURES[what] * side * side / 1e6
                row[what] = found
                print(
                    f"{side * side / 1e6:6.1f} MP {what:>6}: {found['seconds']:8.1f} s, "
                    f"{found['seconds_a_megapixel']:6.2f} s/MP, peak {found['peak_mb']:6.0f} MB, "
                    f"{found['beyond_mb']:6.0f} MB beyond the pictures",
                    flush=True,
                )
            row["region_share"] = row["region"]["seconds"] / row["decode"]["seconds"]
            results.append(row)
            # A run that is stopped has written the sizes that it has done.
            settings = {name: getattr(arguments, name) for name in SETTINGS}
            write_report(arguments.json, "blocks", {"settings": settings, "region": REGION, "sizes": results})


if __name__ == "__main__":
    main()
