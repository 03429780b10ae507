"""Plots of the report."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sinr_codec.bench.published import CURVES, PAPER
from sinr_codec.bench.rates import rate_at
from sinr_codec.errors import MissingExtraError
from sinr_codec.files import atomic_write

if TYPE_CHECKING:
    from sinr_codec.bench.report import Row

_STYLES = {"paper": ("--", "s"), "own": ("-", "o"), "classical": (":", "^")}


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
        bottom, top = min(row.db for row in rows), max(30.0, *(r.db for r in rows if r.protocol != "classical")) + 4
        above = {}
        for curve in CURVES:
            cut = rate_at(curve.points, top)
            shown = [(x, y) for x, y in curve.points if y < top] + ([] if cut is None else [(cut, top)])
            axes.plot(*zip(*shown), "-", color="0.8", lw=0.8, zorder=0)
            codec = curve.name.removesuffix(" (published)")
            if cut is None:
                axes.annotate(codec, shown[-1], fontsize=5, color="0.4", rotation=60)
            else:
                above[codec] = cut
        for (codec, x), at in zip(sorted(above.items(), key=lambda item: item[1]), _apart(above.values(), 1.07)):
            axes.annotate(
                codec,
                (x, top),
                (at, 1.03),
                textcoords=axes.get_xaxis_transform(),
                fontsize=5,
                color="0.4",
                rotation=90,
                ha="center",
                arrowprops={"arrowstyle": "-", "color": "0.8", "lw": 0.5, "shrinkA": 0, "shrinkB": 0},
            )
        for method, bpp, db in PAPER:
            axes.plot(bpp, db, "x", color="black", ms=7)
            text = f"{method}, SINR's paper"
            axes.annotate(text, (bpp, db), fontsize=6, xytext=(-3, 7), textcoords="offset points", rotation=90)
        axes.set_xlim(max(low, 0.02), high)
        axes.set_ylim(bottom - 0.7, top)
    axes.set_xscale("log")
    if picture:
        ticks = [tick for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8, 16) if low <= tick <= high]
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.set_xlabel("bits a pixel, whole file" if picture else "bytes, whole file")
    axes.set_ylabel(f"{measure}, dB, mean over signals")
    signals = sorted({row.signals for row in rows})
    count = "-".join(map(str, dict.fromkeys((signals[0], signals[-1]))))
    axes.set_title(f"{name}: mean over {count} signal(s)", fontsize=10, loc="left")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return save(figure, path)


def _apart(positions: Collection[float], factor: float) -> list[float]:
    """Positions in order, each at least so many times the one before, as near to where they were as that allows."""
    logs = np.sort(np.log(list(positions))) - math.log(factor) * np.arange(len(positions))
    # the nearest sequence that does not fall (least squares): means of runs that would
    runs: list[list[float]] = []
    for value in logs:
        runs.append([float(value)])
        while len(runs) > 1 and np.mean(runs[-2]) > np.mean(runs[-1]):
            runs[-2:] = [runs[-2] + runs[-1]]
    level = np.concatenate([np.full(len(run), np.mean(run)) for run in runs]) if runs else np.empty(0)
    return [float(x) for x in np.exp(level + math.log(factor) * np.arange(len(level)))]
