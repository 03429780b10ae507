"""How many atoms a vector needs (section 4.2): quality against s, for every width, dictionary and picture.

s goes up to k1 / 2 for every weight matrix at once; coefficients are not quantised. The regression s*(k) of the
supplement is fitted to the s at which a loss stays below a bound.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np

from sinr_codec.bench import plots
from sinr_codec.bench.experiments import SPARSITY
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
from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.coding.sparse import Layout, from_vectors, layout_of, to_vectors
from sinr_codec.methods.coin import SINE
from sinr_codec.planning.omp import omp, solve
from sinr_codec.planning.pursuit import paper_sparsity
from sinr_codec.progress import Progress
from sinr_codec.quality import decibels
from sinr_codec.types import Array, Floats

SHARES: Final = (0.1, 0.2, 0.3, 0.35, 0.4, 0.415, 0.45, 0.4999)
"""s / k1; the constraint is 2s < k1."""
BOUNDS: Final = (0.1, 0.3, 1.0)
"""dB that may be lost at s*."""
SAMPLES: Final = 1 << 16
LEAST_SHOWN: Final = 0.003
"""dB in the plot; smaller losses and gains are drawn there."""


@dataclass(frozen=True)
class Case:
    """A dictionary, and whether noise of the same shape and variance is coded beside the weights."""

    kind: str
    seed: int
    k2: int
    noise: bool = False


CASES: Final = (
    Case("gaussian", 0, 1024),
    Case("gaussian", 0, 8192, noise=True),
    Case("gaussian", 0, 65_536),
    *(Case("gaussian", seed, 8192) for seed in (1, 2)),
    Case("sign", 0, 8192),
    Case("hadamard", 0, 8192),
)


def run(settings: Settings, *, resume: bool = False, progress: Progress) -> None:
    """Sweep s on the networks of all pictures and widths; a point for each."""
    run_analysis(SPARSITY, measure, settings, resume=resume, progress=progress)


def measure(unit: Unit, settings: Settings) -> None:
    """The point of a network: its rows have the loss in dB and the weights' signal to error, for each case and s."""
    loaded = load_item(unit.item, settings)
    task, fitted = task_of(loaded, unit, settings, SINE, Fits(settings.out / "fits", settings.device))
    error = task.error(SAMPLES)
    base = decibels(error(task.params))
    assert unit.configuration is not None
    k = unit.configuration.width
    matrices = [_Matrix(name, w, layout_of(w.shape, k)) for name, w in task.params.items() if w.ndim == 2]
    hidden = [m for m in matrices if m.name not in ("layers.0.weight", f"layers.{task.field.layers - 1}.weight")]  # type: ignore[attr-defined]
    rng = np.random.default_rng(settings.seed)
    noise = [_Matrix(m.name, rng.normal(0, m.w.std(), m.w.shape), m.layout) for m in hidden]
    rows: list[Point] = []
    for case in CASES:
        swept = list(zip(*(m.sweep(case, task.device) for m in matrices)))
        of_noise = list(zip(*(m.sweep(case, task.device) for m in noise))) if case.noise else []
        for i, (share, weights) in enumerate(zip(SHARES, swept)):
            coded = {m.name: w.astype(m.w.dtype) for m, w in zip(matrices, weights)}
            row: Point = {"kind": case.kind, "seed": case.seed, "k2": case.k2, "share": share}
            row |= {"s": hidden[0].atoms(share), "k1": hidden[0].vectors.shape[0]}
            row["loss"] = base - decibels(error({**task.params, **coded}))
            inner = {m.name: coded[m.name] for m in hidden}
            row["hidden_loss"] = base - decibels(error({**task.params, **inner}))
            row["snr"] = _snr([m.w for m in hidden], [coded[m.name] for m in hidden])
            if of_noise:
                row["noise_snr"] = _snr([m.w for m in noise], of_noise[i])
            rows.append(row)
    about = {"signal": unit.item.name, "configuration": unit.configuration.name, "width": k, "db": base}
    write_json(point_file(unit, settings), about | {"fit": fitted.key, "steps": fitted.steps, "rows": rows})


@dataclass(frozen=True)
class _Matrix:
    name: str
    w: Array
    layout: Layout

    @property
    def vectors(self) -> Floats:
        return to_vectors(self.w, self.layout)

    def atoms(self, share: float) -> int:
        return max(1, min(math.floor(share * len(self.vectors)), (len(self.vectors) - 1) // 2))

    def sweep(self, case: Case, device: str) -> list[Floats]:
        """The matrix as it is decoded, for every share; one pursuit serves all of them."""
        vectors = self.vectors
        dictionary = make_dictionary(case.kind, case.seed, len(vectors), case.k2)
        indices, _ = omp(dictionary, vectors, self.atoms(SHARES[-1]), device=device)
        found = []
        for share in SHARES:
            chosen = indices[: self.atoms(share)]
            values = solve(dictionary, vectors, chosen)
            columns = [dictionary[:, chosen[:, i]].astype(np.float64) @ values[:, i] for i in range(vectors.shape[1])]
            found.append(from_vectors(np.stack(columns, 1), self.w.shape, self.layout))
        return found


def _snr(weights: Sequence[Array], decoded: Sequence[Array]) -> float:
    signal = sum(float(np.sum(np.square(w, dtype=np.float64))) for w in weights)
    return 10 * math.log10(signal / sum(float(np.sum((w - d) ** 2)) for w, d in zip(weights, decoded)))


# -- what it says ----------------------------------------------------------------------------------------------


def report(out: Path, results: Path | None = None) -> list[Path]:
    """Tables and a plot of the sweep, where a run has one; with `results` there, too."""
    points = points_of(out, SPARSITY.name)
    if not points:
        return []
    folder = out / "report"
    written = [write_text(folder / "sparsity.md", page(points)), _plot(points, folder / "sparsity.png")]
    if results is not None:
        found = about_run(out, SPARSITY.name) | {"regression": regressions(points), "surface": surface(points)}
        written.append(write_text(results / "sparsity.json", json.dumps(found, indent=1) + "\n"))
        written.append(_plot(points, results / "sparsity.png"))
    return written


def surface(points: Sequence[Point]) -> list[Point]:
    """Mean and standard deviation over pictures of the loss in dB, for every width, dictionary and s."""
    groups: dict[tuple[Any, ...], list[Point]] = {}
    for point in points:
        for row in point["rows"]:
            key = (point["width"], row["kind"], row["seed"], row["k2"], row["k1"], row["s"], row["share"])
            groups.setdefault(key, []).append(row)
    names = ("width", "kind", "seed", "k2", "k1", "s", "share")
    found = []
    for key, rows in sorted(groups.items()):
        entry = dict(zip(names, key)) | {"pictures": len(rows)}
        for name in (*CODED, "snr", "noise_snr"):
            values = [row[name] for row in rows if name in row]
            if values:
                entry[name] = round(float(np.mean(values)), 4)
            if name in CODED:
                entry[f"{name}_deviation"] = round(float(np.std(values)), 4)
        found.append(entry)
    return found


CODED: Final = {"loss": "all", "hidden_loss": "hidden"}
"""Which matrices are coded, by name of the loss: all of them, as published, or the first and the last layer not."""


def needed(entries: Sequence[Point], bound: float, loss: str = "loss") -> float | None:
    """The s, interpolated, at which the mean loss comes down to a bound; None where 2s < k1 does not allow it."""
    rows = sorted(entries, key=lambda entry: entry["s"])
    losses = np.minimum.accumulate([row[loss] for row in rows])
    if losses[-1] > bound:
        return None
    return float(np.interp(-bound, -losses, [row["s"] for row in rows]))


def regressions(points: Sequence[Point]) -> list[Point]:
    """For every k2 and bound: s* / k1 of each width, and the line through the origin, s* = slope k1, of least squares.

    Tiny networks are flattened and not part of the line.
    """
    entries = [e for e in surface(points) if e["kind"] == "gaussian" and e["seed"] == 0]
    widths = sorted({e["width"] for e in entries})
    lengths = {e["width"]: e["k1"] for e in entries}
    found = []
    for (loss, coded), k2, bound in product(CODED.items(), sorted({e["k2"] for e in entries}), BOUNDS):
        stars = {
            width: needed([e for e in entries if (e["k2"], e["width"]) == (k2, width)], bound, loss) for width in widths
        }
        line = [(lengths[w], s) for w, s in stars.items() if s is not None and lengths[w] == w]
        slope = sum(k1 * s for k1, s in line) / sum(k1 * k1 for k1, _ in line) if line else None
        shares = {str(w): None if s is None else round(s / lengths[w], 4) for w, s in stars.items()}
        found.append({"coded": coded, "k2": k2, "loss": bound, "share": shares, "slope": slope})
    return found


def page(points: Sequence[Point]) -> str:
    """The tables as Markdown."""
    entries = surface(points)
    widths = sorted({e["width"] for e in entries})
    pictures = ", ".join(f"{w}: {max(e['pictures'] for e in entries if e['width'] == w)}" for w in widths)
    text = [
        f"# {SPARSITY.title}",
        f"Pictures by width: {pictures}. Loss is in dB against the uncoded "
        "network, mean over pictures ± standard deviation; coefficients are not quantised. SNR is that of the hidden "
        "weights. Width 32 is flattened (k1 = 1,024).",
        "## Loss by s, Gaussian dictionary, all matrices coded",
        _losses(entries, widths, "loss"),
        "## Loss by s, Gaussian dictionary, first and last layer left as they are",
        _losses(entries, widths, "hidden_loss"),
        "## Kinds and seeds, k2 = 8,192",
        _kinds(entries, widths),
        "## Trained weights and Gaussian noise of the same shape and variance, k2 = 8,192",
        _trained_and_noise(entries, widths),
        "## s* / k1: the least that keeps a loss, within 2s < k1",
        _least_shares(regressions(points), widths),
    ]
    return "\n\n".join(text) + "\n"


_SHARES: Final = tuple(f"{share:g} k1" for share in SHARES)
"""Heads of the columns."""


def _losses(entries: Sequence[Point], widths: Sequence[int], loss: str) -> str:
    return table(
        ["width", "k2", *_SHARES],
        (
            [str(w), f"{k2:,}", *(_loss(entries, w, "gaussian", 0, k2, share, loss=loss) for share in SHARES)]
            for w in widths
            for k2 in (1024, 8192, 65_536)
        ),
    )


def _kinds(entries: Sequence[Point], widths: Sequence[int]) -> str:
    return table(
        ["width", "dictionary", *_SHARES],
        (
            [str(w), f"{case.kind}, seed {case.seed}"]
            + [_loss(entries, w, case.kind, case.seed, case.k2, share) for share in SHARES]
            for w in widths
            for case in CASES
            if case.k2 == 8192
        ),
    )


def _trained_and_noise(entries: Sequence[Point], widths: Sequence[int]) -> str:
    return table(
        ["width", "SNR, dB", *_SHARES],
        (
            [str(w), title, *(number(_find(entries, w, "gaussian", 0, 8192, s).get(key), ".2f") for s in SHARES)]
            for w in widths
            for title, key in (("trained", "snr"), ("noise", "noise_snr"))
        ),
    )


def _least_shares(found: Sequence[Point], widths: Sequence[int]) -> str:
    return table(
        ["coded", "k2", "loss, dB", *(f"width {w}" for w in widths), "s* = slope k1 (without width 32)"],
        (
            [r["coded"], f"{r['k2']:,}", f"{r['loss']:g}"]
            + [number(r["share"].get(str(w)), ".3f") for w in widths]
            + [number(r["slope"], ".3f")]
            for r in found
        ),
    )


def _find(entries: Sequence[Point], *key: object) -> Point:
    names = ("width", "kind", "seed", "k2", "share")
    return next((e for e in entries if tuple(e[name] for name in names) == key), {})


def _loss(entries: Sequence[Point], *key: object, loss: str = "loss") -> str:
    entry = _find(entries, *key)
    return f"{entry[loss]:z.2f} ± {entry[f'{loss}_deviation']:.2f}" if entry else "-"


def _plot(points: Sequence[Point], path: Path) -> Path:
    plt = plots.pyplot()
    entries = [e for e in surface(points) if e["kind"] == "gaussian" and e["seed"] == 0]
    widths = sorted({e["width"] for e in entries})
    figure, panels = plt.subplots(1, len(widths), figsize=(3.4 * len(widths), 3.4), sharey=True, squeeze=False)
    for axes, width in zip(panels[0], widths):
        for k2 in sorted({e["k2"] for e in entries}):
            rows = sorted((e for e in entries if (e["width"], e["k2"]) == (width, k2)), key=lambda e: e["share"])
            x = [e["share"] for e in rows]
            all_, hidden = ([e[loss] for e in rows] for loss in CODED)
            deviation = [e["loss_deviation"] for e in rows]
            bars = axes.errorbar(x, all_, yerr=deviation, marker="o", ms=3, lw=1.2, capsize=2, label=f"k2 = {k2:,}")
            axes.plot(x, np.maximum(hidden, LEAST_SHOWN), "--", lw=1.2, color=bars[0].get_color())
        k1 = rows[0]["k1"]
        axes.axvline(paper_sparsity(k1) / k1, color="0.6", lw=0.8, ls=":")
        axes.set_title(f"width {width}" + (f" (flattened, k1 = {k1:,})" if k1 != width else ""), fontsize=9)
        axes.set_xlabel("s / k1")
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
    panels[0][0].set_ylabel("loss of PSNR, dB (dashed: hidden layers only)")
    panels[0][-1].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    return plots.save(figure, path)
