"""A page of decoded crops, as the paper's Figure 5: what the numbers look like."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sinr_codec import codec
from sinr_codec.bench.plots import pyplot, save
from sinr_codec.errors import InputError

SHOWN = ("coin", "minmax", "sinr", "sinr-hidden", "sinr-planned", "inric", "direct", "jpeg")
SIDE = 160
"""Pixels of a crop, where the picture has as many."""
SIGNALS = 3


def write_crops(out: Path, points: Sequence[dict[str, Any]], path: Path) -> list[Path]:
    """A PNG with a row a picture and a column a method, from the files of the run; nothing where there are none."""
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
        rows.append([(point, _decoded(out / point["file"])) for point in chosen])
    rows = [row for row in rows if row]
    if not rows:
        return []
    plt = pyplot()
    columns = max(map(len, rows))
    figure, axes = plt.subplots(len(rows), columns, figsize=(1.7 * columns, 2.25 * len(rows)), squeeze=False)
    for line, row in zip(axes, rows):
        for axis in line:
            axis.axis("off")
        for axis, (point, array) in zip(line, row):
            axis.imshow(_crop(array), interpolation="nearest", cmap="gray", vmin=0, vmax=255)
            text = f"{point['db']:.2f} dB\n{point['bpp']:.3f} bpp\n{point['bytes']:,} bytes"
            axis.set_title(f"{point['title']}", fontsize=6)
            axis.text(0.5, -0.03, text, transform=axis.transAxes, fontsize=6, ha="center", va="top")
    for line, row in zip(axes, rows):
        line[0].text(
            -0.06, 0.5, str(row[0][0]["signal"]), transform=line[0].transAxes, fontsize=6, va="center", rotation=90
        )
    return [save(figure, path)]


def _decoded(file: Path) -> np.ndarray[Any, Any]:
    if file.suffix == ".sinr":
        return np.asarray(codec.decode(file))
    try:
        with Image.open(file) as picture:
            return np.asarray(picture)
    except OSError as error:
        raise InputError(f"{file}: cannot be decoded; remove its point and run again with --resume") from error


def _crop(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The middle."""
    top, left = (max(0, (side - SIDE) // 2) for side in array.shape[:2])
    return array[top : top + SIDE, left : left + SIDE].squeeze()
