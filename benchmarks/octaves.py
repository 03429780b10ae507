"""Pictures under octaves along the axes and under octaves that turn, in as many bytes.

    python benchmarks/octaves.py --data DIR [--bpp 0.35] [--side 384] [--jobs 2] [--json FILE]

Of each Kodak picture, the square in the middle is encoded with the preset `fast` under both encodings. Bytes are those
of the files, PSNR is of what they decode to. `alignment` is what `encode` decides by: it lets octaves turn where that
is not above 0.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sinr_codec import codec
from sinr_codec.bench.provenance import write_report
from sinr_codec.signals.image import ImageSignal, octaves, rotated_octaves


def measure(number: int, data: Path, side: int, bpp: float) -> dict[str, Any]:
    """A row: alignment, and bytes and PSNR under both encodings."""
    with Image.open(data / f"kodim{number:02}.png") as picture:
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        array = np.asarray(picture.crop((left, top, left + side, top + side)))
    row: dict[str, Any] = {"picture": f"kodim{number:02}", "alignment": ImageSignal.load(array).alignment}
    suited = ImageSignal.suited
    for name, encoding in (("axes", octaves), ("turning", rotated_octaves)):
        ImageSignal.suited = lambda _, recipe, encoding=encoding: replace(recipe, encoding=encoding)
        report = codec.encode(array, field="mlp", bpp=bpp, preset="fast")
        row[name] = {"bytes": report.bytes, "psnr": report.psnr}
    ImageSignal.suited = suited
    print(f"{row['picture']}: alignment {row['alignment']:.3f}, {row['turning']['psnr'] - row['axes']['psnr']:+.2f} dB")
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Kodak pictures")
    parser.add_argument("--bpp", type=float, default=0.35)
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with ProcessPoolExecutor(args.jobs) as pool:
        rows = list(pool.map(partial(measure, data=args.data, side=args.side, bpp=args.bpp), range(1, 25)))
    gains = np.array([row["turning"]["psnr"] - row["axes"]["psnr"] for row in rows])
    turn = np.array([row["alignment"] <= 0 for row in rows])
    summary = {
        "turning": int(turn.sum()),
        "gain_where_turning": float(gains[turn].mean()),
        "gain_if_turned_elsewhere": float(gains[~turn].mean()),
        "mean_gain": float(np.where(turn, gains, 0).mean()),
        "best_choice": float(np.maximum(gains, 0).mean()),
    }
    print(*(f"{name} {value:.3g}" for name, value in summary.items()), sep=", ")
    write_report(args.json, "octaves", {"bpp": args.bpp, "side": args.side, "summary": summary, "rows": rows})


if __name__ == "__main__":
    main()
