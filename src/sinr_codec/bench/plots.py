"""Plots of the report."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from sinr_codec.bench.published import CURVES, PAPER
from sinr_codec.bench.rates import rate_at
from sinr_codec.bench.rows import Row
from sinr_codec.errors import MissingExtraError
from sinr_codec.files import atomic_write
from sinr_codec.methods import METHODS

_LINES: Final = {"paper": "--", "own": "-", "classical": ":"}
_MARKERS: Final = "osD^v<>phPX*d8"


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
    """Quality against rate: our methods in colour, published curves in grey, the paper's own statements as crosses.

    Colours are those of families of methods ("sinr" of "sinr-hidden"), so that they mean the same in all plots; markers
    tell the members apart, lines the protocols.
    """
    plt = pyplot()
    rows = [row for row in rows if math.isfinite(row.db)]
    figure, axes = plt.subplots(figsize=(9, 6))
    picture = kind == "image"
    for (method, title, protocol), (colour, marker) in _looks(rows).items():
        points = sorted((row.bpp if picture else row.bytes, row.db) for row in rows if row.method == method)
        label = f"{title} ({protocol})" if protocol != "classical" else title
        filled = {"mfc": "white"} if protocol == "paper" else {}
        axes.plot(*zip(*points), _LINES[protocol], marker=marker, ms=5, lw=1.4, color=colour, label=label, **filled)
    axes.set_xscale("log")
    if picture:
        _published(axes, rows)
    axes.set_xlabel("bits a pixel, whole file" if picture else "bytes, whole file")
    axes.set_ylabel(f"{measure}, dB, mean over signals")
    signals = sorted({row.signals for row in rows})
    count = "-".join(map(str, dict.fromkeys((signals[0], signals[-1]))))
    axes.set_title(f"{name}: mean over {count} signal(s)", fontsize=10, loc="left", pad=16)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return save(figure, path)


def _looks(rows: Sequence[Row]) -> dict[tuple[str, str, str], tuple[Any, str]]:
    """Colour and marker of every method, in the order of the rows."""
    known = list(dict.fromkeys(method.partition("-")[0] for method in METHODS))
    colours = pyplot().get_cmap("tab20")
    looks, members = {}, Counter[str]()
    for key in dict.fromkeys((row.method, row.title, row.protocol) for row in rows):
        family = key[0].partition("-")[0]
        if family not in known:
            known.append(family)
        # the ten strong colours first
        place = known.index(family)
        looks[key] = (colours((2 * place) % 20 + place // 10 % 2), _MARKERS[members[family] % len(_MARKERS)])
        members[family] += 1
    return looks


def _published(axes: Any, rows: Sequence[Row]) -> None:
    """Published curves, numbered, with a key below the plot; and what SINR's paper states of 30 dB."""
    ours = [row.db for row in rows if row.protocol != "classical"]
    bottom, top = min(row.db for row in rows) - 0.7, max(30.0, *ours) + 4
    low, high = max(axes.get_xlim()[0], 0.02), max(axes.get_xlim()[1], 4.2)
    style = {"fontsize": 5.5, "color": "0.35"}
    above: dict[int, float] = {}
    for number, curve in enumerate(CURVES, 1):
        cut = rate_at(curve.points, top)
        shown = [(x, y) for x, y in curve.points if y < top] + ([] if cut is None else [(cut, top)])
        axes.plot(*zip(*shown), "-", color="0.8", lw=0.8, zorder=0)
        if cut is None:
            axes.annotate(str(number), shown[-1], (2, 1), textcoords="offset points", **style)
        else:
            above[number] = cut
    ordered = sorted(above.items(), key=lambda item: item[1])
    span = math.log(high / low)
    for (number, x), at in zip(ordered, _apart(above.values(), math.exp(0.018 * span))):
        line = {"arrowstyle": "-", "color": "0.8", "lw": 0.5, "shrinkA": 0, "shrinkB": 0}
        where = {"textcoords": axes.get_xaxis_transform(), "ha": "center"}
        axes.annotate(str(number), (x, top), (at, 1.015), arrowprops=line, **where, **style)
    for method, bpp, db in PAPER:
        axes.plot(bpp, db, "x", color="black", ms=7)
        text = f"{method}, SINR's paper"
        axes.annotate(text, (bpp, db), fontsize=6, xytext=(-3, 7), textcoords="offset points", rotation=90)
    names = [f"{number:>2} {curve.name.removesuffix(' (published)')}" for number, curve in enumerate(CURVES, 1)]
    for column in range(0, len(names), 6):
        key = "\n".join(names[column : column + 6])
        axes.text(0.14 + 0.036 * column, -0.11, key, transform=axes.transAxes, va="top", **style)
    axes.text(0, -0.11, "Published, of the 24\nwhole Kodak pictures:", transform=axes.transAxes, va="top", **style)
    axes.set_xlim(low, high)
    axes.set_ylim(bottom, top)
    ticks = [tick for tick in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8, 16, 32, 64) if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


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
