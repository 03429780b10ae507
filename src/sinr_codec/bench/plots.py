"""Plots of the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sinr_codec.bench.published import CURVES, PAPER
from sinr_codec.errors import MissingExtraError
from sinr_codec.files import atomic_write

if TYPE_CHECKING:
    from sinr_codec.bench.report import Row

_STYLES = {"paper": ("--", "s"), "own": ("-", "o"), "classical": (":", "^")}
_PICTURE_CURVES = ("COIN (", "INRIC, 8", "JPEG (", "JPEG 2000", "BPG", "VTM", "C3", "COIN++")


def pyplot() -> Any:
    """Matplotlib without a display; `MissingExtraError` where it is not installed."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise MissingExtraError("plots need matplotlib: pip install 'sinr-codec[bench]'") from error
    return plt


def save(figure: Any, path: Path) -> Path:
    """Write a figure as PNG, the same bytes every time."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png", metadata={"Software": None}, bbox_inches="tight")
    pyplot().close(figure)
    return path


def rate_distortion(name: str, kind: str, measure: str, rows: Sequence[Row], path: Path) -> Path:
    """Quality against rate: our methods in colour, published curves in grey, the paper's own statements as crosses."""
    plt = pyplot()
    rows = [row for row in rows if math.isfinite(row.db)]
    figure, axes = plt.subplots(figsize=(9, 6))
    methods = list(dict.fromkeys((row.method, row.title, row.protocol) for row in rows))
    picture = kind == "image"
    colours = plt.get_cmap("tab20")
    for number, (method, title, protocol) in enumerate(methods):
        points = sorted((row.bpp if picture else row.bytes, row.db) for row in rows if row.method == method)
        line, marker = _STYLES[protocol]
        label = f"{title} ({protocol})" if protocol != "classical" else title
        axes.plot(*zip(*points), line, marker=marker, ms=4, lw=1.4, color=colours(number % 20), label=label)
    if picture:
        low, high = axes.get_xlim()[0], max(axes.get_xlim()[1], 4.2)
        bottom, top = min(row.db for row in rows), max(row.db for row in rows)
        for curve in CURVES:
            if curve.name.startswith(_PICTURE_CURVES):
                shown = [(x, y) for x, y in curve.points if y <= max(top, 32) + 1]
                axes.plot(*zip(*shown), "-", color="0.75", lw=1, zorder=0)
                x, y = shown[-1]
                axes.annotate(curve.name.removesuffix(" (published)"), (x, y), fontsize=6, color="0.45", va="bottom")
        for method, bpp, db in PAPER:
            axes.plot(bpp, db, "x", color="black", ms=7)
            text = f"{method}, SINR's paper"
            axes.annotate(text, (bpp, db), fontsize=6, xytext=(2, 5), textcoords="offset points", rotation=40)
        axes.set_xlim(max(low, 0.02), high)
        axes.set_ylim(bottom - 0.7, max(top, 32) + 1)
    axes.set_xscale("log")
    if picture:
        ticks = [tick for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8, 16) if low <= tick <= high]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_xlabel("bits a pixel, whole file" if picture else "bytes, whole file")
    axes.set_ylabel(f"{measure}, dB, mean over signals")
    signals = sorted({row.signals for row in rows})
    axes.set_title(f"{name}: {'-'.join(map(str, {signals[0]: 0, signals[-1]: 0}))} signal(s)", fontsize=10)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return save(figure, path)
