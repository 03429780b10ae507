"""The five-minute tour: a photograph becomes a small `.sinr` file and comes back, at 1x and at 2x.

    python examples/demo.py [PICTURE] [--out DIR]

Leaves in DIR: coffee.sinr, the pictures decoded from it, the same picture as JPEG and as AVIF at equal bytes, and
side-by-side.png.
"""

import argparse
import io
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features
from rich.console import Console
from rich.table import Table

import sinr_codec as sinr
from sinr_codec.signals.image import psnr

HERE = Path(__file__).parent


USUAL = {"JPEG": {"optimize": True, "progressive": True}, "AVIF": {"speed": 4}}
"""Formats for comparison, and their best settings; AVIF where Pillow has it."""


def of_size(picture: Image.Image, form: str, budget: int) -> bytes:
    """Make the best file of a format (4:2:0) of at most `budget` bytes, or the smallest there is."""
    low, high, best = 1, 95, b""
    while low <= high:
        quality = (low + high) // 2
        buffer = io.BytesIO()
        picture.save(buffer, form, quality=quality, **USUAL[form])
        fits = buffer.tell() <= budget
        if fits or not best:
            best = buffer.getvalue()
        low, high = (quality + 1, high) if fits else (low, quality - 1)
    return best


def side_by_side(panels: list[tuple[str, Image.Image]], box: tuple[int, int, int, int]) -> Image.Image:
    """Put each picture, and below it the detail `box` at twice its size, in a column under its label."""
    width, height = panels[0][1].size
    zoom = width / (box[2] - box[0])
    detail = (width, round((box[3] - box[1]) * zoom))
    sheet = Image.new("RGB", (width * len(panels), height + detail[1] + 28), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (label, picture) in enumerate(panels):
        draw.text((i * width + 8, 5), label, fill="black", font=ImageFont.load_default(16))
        sheet.paste(picture, (i * width, 28))
        sheet.paste(picture.crop(box).resize(detail, Image.Resampling.NEAREST), (i * width, 28 + height))
    return sheet


def main() -> None:
    """Encode, decode, verify, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", nargs="?", type=Path, default=HERE / "coffee.png")
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / f"{args.picture.stem}.sinr"
    original = np.asarray(Image.open(args.picture).convert("RGB"))

    report = sinr.encode(args.picture, path, progress=True)

    start = time.perf_counter()
    decoded = sinr.decode(path, args.out / f"{args.picture.stem}-1x.png")
    decode_seconds = time.perf_counter() - start
    start = time.perf_counter()
    doubled = sinr.decode(path, args.out / f"{args.picture.stem}-2x.png", scale=2)
    double_seconds = time.perf_counter() - start
    check = sinr.verify(path, against=args.picture)

    others = {}
    for form in USUAL:
        if features.check(form.lower()) or form == "JPEG":
            blob = of_size(Image.fromarray(original), form, report.bytes)
            (args.out / f"{args.picture.stem}-equal-bytes.{form.lower()}").write_bytes(blob)
            others[form] = blob, np.asarray(Image.open(io.BytesIO(blob)).convert("RGB"))

    pixels = original.shape[0] * original.shape[1]
    table = Table(
        title=f"{args.picture.name}: {original.shape[1]} x {original.shape[0]} pixels, {original.nbytes:,} bytes raw"
    )
    for column in ("", "bytes", "bpp", "PSNR", "seconds"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row(
        "sinr, encode",
        f"{report.bytes:,}",
        f"{report.bpp:.3f}",
        f"{report.psnr:.2f} dB",
        f"{report.seconds:.1f}",
    )
    table.add_row("sinr, decode 1x", "", "", f"{psnr(original, decoded, 255):.2f} dB", f"{decode_seconds:.2f}")
    table.add_row(f"sinr, decode 2x ({doubled.shape[1]} x {doubled.shape[0]})", "", "", "", f"{double_seconds:.2f}")
    for form, (blob, shown) in others.items():
        rate, quality = f"{8 * len(blob) / pixels:.3f}", f"{psnr(original, shown, 255):.2f} dB"
        table.add_row(f"{form} at equal bytes", f"{len(blob):,}", rate, quality, "")
    console = Console()
    console.print(table)
    for line in check.lines:
        console.print(line, highlight=False)

    height, width = original.shape[:2]
    box = (width // 3, height // 3, width // 3 + width // 4, height // 3 + height // 4)
    panels = [
        ("original", Image.fromarray(original)),
        (f"sinr {report.bytes:,} bytes, {report.psnr:.2f} dB", Image.fromarray(decoded)),
    ]
    for form, (blob, shown) in others.items():
        panels.append((f"{form} {len(blob):,} bytes, {psnr(original, shown, 255):.2f} dB", Image.fromarray(shown)))
    side_by_side(panels, box).save(args.out / "side-by-side.png")
    console.print(f"Look at {args.out / 'side-by-side.png'}")
    if not check.ok:
        raise SystemExit("demo: verification failed")


if __name__ == "__main__":
    main()
