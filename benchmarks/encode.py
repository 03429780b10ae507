"""Kodak at a rate: what `encode` makes of each picture in so many bits a pixel, beside the usual codecs.

    python benchmarks/encode.py --data DIR [--bpp 0.45] [--preset balanced] [--block 256] [--pictures kodim01 ...]
                                [--work DIR] [--json FILE]

Bytes are those of the files, PSNR is of what they decode to. Files stay in the work folder, so that a run that is
stopped goes on where it was. Wanted: a mean of 30 dB at 0.45 bits a pixel or less over all 24 (COIN 0.99, INRIC 0.415
with a learned start, 1.7 in SINR's Figure 3).
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sinr_codec import codec
from sinr_codec.bench.provenance import write_report
from sinr_codec.bench.usual_codecs import compare, picture_codecs
from sinr_codec.signals.image import ImageSignal, psnr


def measure(picture: Path, bpp: float, preset: str, block: int | None, work: Path) -> dict[str, Any]:
    """A row: of the file, and of the usual codecs in as many bytes."""
    kept = work / f"{picture.stem}-{preset}-{bpp:g}-{block or 'whole'}.json"
    if kept.exists():
        row: dict[str, Any] = json.loads(kept.read_text())
        return row
    cut = {} if block is None else {"block": block}
    report = codec.encode(picture, kept.with_suffix(".sinr"), field="mlp", bpp=bpp, preset=preset, **cut)
    array = np.asarray(ImageSignal.load(picture).array)
    decoded = codec.decode(kept.with_suffix(".sinr"))
    row = {
        "picture": picture.stem,
        "bytes": kept.with_suffix(".sinr").stat().st_size,
        "bpp": report.bpp,
        "psnr": psnr(array, decoded, 255),
        "parameters": report.field.num_params,
        "network": report.field.describe(),
        "fit_psnr": report.fit_psnr,
        "seconds": round(report.seconds),
    }
    usual = compare(picture_codecs(array), lambda other: psnr(array, other, 255), row["bytes"], row["psnr"])
    row["usual"] = {name: asdict(rival.at_bytes) for name, rival in usual.items() if rival.at_bytes}
    kept.write_text(json.dumps(row))
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Kodak pictures")
    parser.add_argument("--pictures", nargs="+", default=[f"kodim{number:02}" for number in range(1, 25)])
    parser.add_argument("--bpp", type=float, default=0.45)
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--block", type=int, metavar="PIXELS", help="cut pictures into blocks of about this side")
    parser.add_argument("--work", type=Path, default=Path(".sinr-cache/encode"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in args.pictures:
        row = measure(args.data / f"{name}.png", args.bpp, args.preset, args.block, args.work)
        rows.append(row)
        usual = ", ".join(f"{other} {point['db']:.2f}" for other, point in row["usual"].items())
        print(
            f"{name}: {row['bytes']:,} bytes, {row['bpp']:.3f} bpp, {row['psnr']:.2f} dB ({row['network']}, "
            f"{row['seconds']} s); {usual}",
            flush=True,
        )
    mean = {key: float(np.mean([row[key] for row in rows])) for key in ("bytes", "bpp", "psnr", "seconds")}
    print(f"mean of {len(rows)}: {mean['bpp']:.3f} bpp, {mean['psnr']:.2f} dB")
    settings = {"bpp": args.bpp, "preset": args.preset, "block": args.block}
    write_report(args.json, "encode", {**settings, "mean": mean, "rows": rows})


if __name__ == "__main__":
    main()
