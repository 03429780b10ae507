"""Seconds to fit many pictures as one batch against one after another with uncompiled Adam; prints the ratio.

    python benchmarks/many.py --data KODAK [--device cuda] [--json FILE]

Both have the same network, batches, steps and rates, and Adam works on every number by itself, so that the qualities
are equal but for the rounding of sums. Of those one after another only the first `--sample` are timed, after one that
warms up, and scaled to all. All pictures are of equal size: of others the largest rectangle that all have is taken.
Target on a GPU, 24 pictures of Kodak with 3 x 128: at most 1/20.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sinr_codec.bench.provenance import machine, seconds, write_report
from sinr_codec.fields import MLP, Sine
from sinr_codec.fit import FitConfig, FitResult, fit, fit_many
from sinr_codec.signals.image import ImageSignal

TARGET = 1 / 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, type=Path, help="folder of pictures")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--crop", type=int, help="only so many rows and columns from the middle")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3, help="hidden layers")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--sample", type=int, default=2, help="pictures that are fitted by themselves")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()

    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in sorted(arguments.data.glob("*.png"))]
    pictures = pictures[: arguments.count]
    # upright ones are turned, so that Kodak's keep all of their pixels
    pictures = [picture if picture.shape[1] >= picture.shape[0] else np.rot90(picture) for picture in pictures]
    height, width = (min(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    if arguments.crop:
        height, width = min(height, arguments.crop), min(width, arguments.crop)
    parts = []
    for picture in pictures:
        top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
        parts.append(ImageSignal.load(np.ascontiguousarray(picture[top : top + height, left : left + width])).parts[0])
    field = MLP(2, 3, arguments.width, arguments.layers, Sine(30.0))
    config = FitConfig(
        optimizer="adam", steps=arguments.steps, batch=arguments.batch, device=arguments.device, compile=False
    )
    on = torch.cuda.get_device_name() if arguments.device.startswith("cuda") else machine()
    print(f"{len(parts)} pictures of {width} x {height}, {arguments.layers} x {arguments.width}, on {on}")

    fit(field, parts[0], FitConfig(optimizer="adam", steps=20, device=arguments.device, compile=False))
    sample = parts[: arguments.sample]
    alone, singles = seconds(lambda: [fit(field, part, config) for part in sample])
    alone *= len(parts) / len(sample)
    together, results = seconds(lambda: fit_many(field, parts, config))

    def psnr(fitted: list[FitResult]) -> float:
        return statistics.mean(part.decibels(one.loss) for part, one in zip(parts, fitted))

    print(f"one after another: {alone:.1f} s, scaled from {len(sample)}, which have {psnr(singles):.2f} dB")
    print(
        f"together: {together:.1f} s, {psnr(results):.2f} dB; the same {len(sample)} {psnr(results[: len(sample)]):.2f}"
    )
    print(f"ratio: {together / alone:.3f} (target on a GPU: at most {TARGET})")
    report = {
        "pictures": len(parts),
        "size": [width, height],
        "field": field.describe(),
        "steps": arguments.steps,
        "batch": arguments.batch,
        "device": on,
        "seconds_one_after_another": alone,
        "fitted_one_after_another": len(sample),
        "seconds_together": together,
        "psnr": psnr(results),
        "psnr_of_those": [psnr(singles), psnr(results[: len(sample)])],
        "ratio": together / alone,
        "target": TARGET,
    }
    write_report(arguments.json, "many", report)


if __name__ == "__main__":
    main()
