"""Whether trained weights are Gaussian (Figure 1): histograms, tests and effect sizes, per layer and kind of signal.

With thousands of weights a test rejects what hardly differs, so every p-value stands beside sizes of the effect: the
Kolmogorov-Smirnov distance, the excess kurtosis, and what a coder could save by knowing the true density.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from sinr_codec.bench import plots
from sinr_codec.bench.experiments import WEIGHTS
from sinr_codec.bench.fits import Fits
from sinr_codec.bench.runs import (
    Point,
    Settings,
    Unit,
    about_run,
    load_item,
    point_file,
    points_of,
    run_analysis,
    task_of,
    write_json,
)
from sinr_codec.bench.tables import number, table, write_text
from sinr_codec.methods.coin import SINE
from sinr_codec.progress import Progress
from sinr_codec.types import Floats

EDGES: Final = np.linspace(-6, 6, 97)
"""Of the histogram of standardised weights."""
LEVEL: Final = 0.01
"""Of the tests."""


def run(settings: Settings, *, resume: bool = False, progress: Progress) -> None:
    """Measure the weights of the network of every signal; a point for each."""
    run_analysis(WEIGHTS, measure, settings, resume=resume, progress=progress)


def measure(unit: Unit, settings: Settings) -> None:
    """The point of a network: `describe` of every weight matrix."""
    loaded = load_item(unit.item, settings)
    task, fitted = task_of(loaded, unit, settings, SINE, Fits(settings.out / "fits", settings.device))
    names = [name for name, w in task.params.items() if w.ndim == 2]
    rows = []
    for place, name in enumerate(names):
        layer = "first" if place == 0 else "last" if place == len(names) - 1 else "hidden"
        rows.append({"name": name, "layer": layer, **describe(task.params[name].astype(np.float64).ravel())})
    assert unit.configuration is not None
    about: Point = {
        "signal": unit.item.name,
        "kind": loaded.signal.spec.KIND,
        "configuration": unit.configuration.name,
    }
    about |= {"network": task.field.describe(), "fit": fitted.key, "steps": fitted.steps}
    write_json(point_file(unit, settings), about | {"matrices": rows})


def describe(w: Floats) -> dict[str, float | list[int]]:
    """Moments, tests and effect sizes of numbers (n,) that are not all equal.

    Returns
    -------
    n, mean, std; skewness and excess kurtosis; normal_p of D'Agostino and Pearson's test; anderson, the statistic of
    Anderson and Darling (1.035 at 1 %); distance, Kolmogorov-Smirnov's to the normal of this mean and deviation; gap,
    the bits a weight by which the entropy is below that of the normal (Vasicek's estimator, less its value on noise
    of the same size); histogram of standardised numbers over `EDGES`.
    """
    from scipy import stats

    std = float(w.std())
    z = (w - w.mean()) / std
    noise = np.random.default_rng(0).standard_normal((8, len(w)))
    noise = (noise - noise.mean(1, keepdims=True)) / noise.std(1, keepdims=True)
    of_noise = float(np.mean([stats.differential_entropy(row) for row in noise]))
    return {
        "n": len(w),
        "mean": float(w.mean()),
        "std": std,
        "skewness": float(stats.skew(z)),
        "kurtosis": float(stats.kurtosis(z)),
        "normal_p": float(stats.normaltest(z).pvalue),
        "anderson": _anderson(z),
        "distance": float(stats.kstest(z, "norm").statistic),
        "gap": (of_noise - float(stats.differential_entropy(z))) / float(np.log(2)),
        "histogram": np.histogram(np.clip(z, -6, 6), EDGES)[0].tolist(),
    }


def _anderson(z: Floats) -> float:
    """The statistic for a normal distribution of unknown mean and variance, corrected for the size (Stephens 1974)."""
    from scipy import stats

    n = len(z)
    ordered = np.sort(z)
    log_below, log_above = stats.norm.logcdf(ordered), stats.norm.logsf(ordered[::-1])
    squared = -n - float(np.mean((2 * np.arange(1, n + 1) - 1) * (log_below + log_above)))
    return squared * (1 + 0.75 / n + 2.25 / n**2)


# -- what it says ----------------------------------------------------------------------------------------------


def report(out: Path, results: Path | None = None) -> list[Path]:
    """A table and histograms, where a run has weights measured; with `results` there, too."""
    points = points_of(out, WEIGHTS.name)
    if not points:
        return []
    folder = out / "report"
    written = [write_text(folder / "weights.md", page(points)), _plot(points, folder / "weights.png")]
    if results is not None:
        matrices = [
            {"signal": p["signal"], "kind": p["kind"], "network": p["network"]}
            | {key: round(v, 5) if isinstance(v, float) else v for key, v in row.items() if key != "histogram"}
            for p in points
            for row in p["matrices"]
        ]
        text = "{" + ",\n".join(f'"{key}": {json.dumps(v)}' for key, v in about_run(out, WEIGHTS.name).items())
        lines = ",\n".join(json.dumps(row) for row in matrices)
        written.append(write_text(results / "weights.json", f'{text},\n"matrices": [\n{lines}\n]}}\n'))
        written.append(_plot(points, results / "weights.png"))
    return written


def page(points: Sequence[Point]) -> str:
    """The table as Markdown."""
    lines = []
    for kind, layer, rows in _groups(points):
        rejected = np.mean([row["normal_p"] < LEVEL for row in rows])
        above = np.mean([row["anderson"] > 1.035 for row in rows])
        lines.append(
            [
                kind,
                layer,
                str(len(rows)),
                f"{np.median([row['n'] for row in rows]):,.0f}",
                f"{rejected:.0%}",
                f"{above:.0%}",
                *(number(float(np.median([row[key] for row in rows])), form) for key, form in _COLUMNS.items()),
            ]
        )
    heads = ["signal", "layer", "matrices", "weights", "K² rejects", "A² rejects", *_COLUMNS]
    text = [
        f"# {WEIGHTS.title}",
        "",
        f"Medians over matrices. *Rejects*: share of the matrices that a test at {LEVEL:.0%} tells from a normal "
        "distribution (K²: D'Agostino and Pearson, A²: Anderson and Darling). *Distance*: of Kolmogorov and Smirnov. "
        "*Gap*: bits a weight that an ideal coder gains by the true density over the normal one.",
        "",
        table(heads, lines),
    ]
    return "\n".join(text) + "\n"


_COLUMNS: Final = {"skewness": "+.2f", "kurtosis": "+.2f", "distance": ".3f", "gap": ".3f"}
_LAYERS: Final = ("first", "hidden", "last")


def _groups(points: Sequence[Point]) -> list[tuple[str, str, list[Point]]]:
    """(kind of signal, layer, its matrices)."""
    found = []
    for kind in dict.fromkeys(p["kind"] for p in points):
        for layer in _LAYERS:
            rows = [row for p in points if p["kind"] == kind for row in p["matrices"] if row["layer"] == layer]
            if rows:
                found.append((kind, layer, rows))
    return found


def _plot(points: Sequence[Point], path: Path) -> Path:
    """Histograms of the hidden layers' standardised weights, a panel a kind of signal, with the normal density."""
    plt = plots.pyplot()
    groups = [(kind, rows) for kind, layer, rows in _groups(points) if layer == "hidden"]
    columns = min(4, len(groups))
    lines = -(-len(groups) // columns)
    figure, panels = plt.subplots(lines, columns, figsize=(3.1 * columns, 2.6 * lines), squeeze=False)
    middle = (EDGES[1:] + EDGES[:-1]) / 2
    for axes in panels.ravel()[len(groups) :]:
        axes.axis("off")
    for axes, (kind, rows) in zip(panels.ravel(), groups):
        counts = np.sum([row["histogram"] for row in rows], axis=0)
        axes.bar(middle, counts / counts.sum() / np.diff(EDGES), width=np.diff(EDGES), color="0.75")
        axes.plot(middle, np.exp(-(middle**2) / 2) / np.sqrt(2 * np.pi), lw=1.2, color="C3")
        kurtosis = float(np.median([row["kurtosis"] for row in rows]))
        axes.set_title(f"{kind}: {len(rows)} matrices, excess kurtosis {kurtosis:+.1f}", fontsize=8)
        axes.tick_params(labelsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    return plots.save(figure, path)
