"""A page of decoded crops, as the paper's Figure 5: what the numbers look like."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from sinr_codec import codec
from sinr_codec.bench.plots import pyplot, save
from sinr_codec.bench.rows import Point
from sinr_codec.bench.runs import original_file
from sinr_codec.errors import InputError

SHOWN: Final = ("coin", "minmax", "sinr", "sinr-hidden", "sinr-planned", "inric", "direct", "jpeg")
SIDE: Final = 160
"""Pixels of a crop, where the picture has as many."""
SIGNALS: Final = 3


def write_crops(out: Path, points: Sequence[Point], path: Path) -> list[Path]:
    """A PNG with a row a picture, the original first, then the methods, from the files of the run; nothing without."""
    rows = []
    for signal in list(dict.fromkeys(point["signal"] for point in points))[:SIGNALS]:
        mine = [p for p in points if p["signal"] == signal and (out / p["file"]).exists()]
        sized = [p for p in mine if p["params"] is not None]
        if not sized:
            continue
        size = max(sized, key=lambda p: p["params"])["configuration"]
        chosen = [p for name in SHOWN for p in sized if p["method"] == name and p["configuration"] == size]
        jpegs = [p for p in mine if p["method"] == "jpeg"]
        if jpegs and chosen:
            # the JPEG whose size is nearest to that of the smallest of the others
            least = min(p["bytes"] for p in chosen)
            chosen.append(min(jpegs, key=lambda p: abs(np.log(p["bytes"] / least))))
        if chosen:
            cells = [(_caption(point), _decoded(out / point["file"])) for point in chosen]
            original = original_file(out, chosen[0]["experiment"], signal)
            rows.append((signal, ([("original", _decoded(original))] if original.exists() else []) + cells))
    if not rows:
        return []
    plt = pyplot()
    columns = max(len(cells) for _, cells in rows)
    figure, axes = plt.subplots(len(rows), columns, figsize=(1.7 * columns, 2.4 * len(rows)), squeeze=False)
    for line, (signal, cells) in zip(axes, rows):
        for axis in line:
            axis.axis("off")
        for axis, (caption, array) in zip(line, cells):
            axis.imshow(_crop(array), interpolation="nearest", cmap="gray", vmin=0, vmax=255)
            axis.set_title(caption, fontsize=6)
        line[0].text(-0.12, 0.5, signal, transform=line[0].transAxes, fontsize=6, va="center", rotation=90)
    return [save(figure, path)]


def _caption(point: Point) -> str:
    title = textwrap.fill(point["title"], 24)
    quality = "no loss" if point["db"] is None else f"{point['db']:.2f} dB"
    return f"{title}\n{quality}, {point['bpp']:.3f} bpp\n{point['bytes']:,} bytes"


def _decoded(file: Path) -> np.ndarray:
    if file.suffix == ".sinr":
        return np.asarray(codec.decode(file))
    try:
        with Image.open(file) as picture:
            return np.asarray(picture)
    except OSError as error:
        raise InputError(f"{file}: cannot be decoded; remove its point and run again with --resume") from error


def _crop(array: np.ndarray) -> np.ndarray:
    """The middle."""
    top, left = (max(0, (side - SIDE) // 2) for side in array.shape[:2])
    return array[top : top + SIDE, left : left + SIDE].squeeze()
