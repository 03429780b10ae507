"""The report of a run: tables (Markdown, CSV, CompressAI's schema), rate-distortion plots, a page of decoded crops."""

import csv
import io
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final

import numpy as np

from sinr_codec.bench import plots
from sinr_codec.bench.crops import write_crops
from sinr_codec.bench.experiments import EXPERIMENTS
from sinr_codec.bench.published import CURVES, PAPER
from sinr_codec.bench.rates import Points, bd_psnr, bd_rate, rate_at
from sinr_codec.bench.receiver import rate_with_base
from sinr_codec.bench.rows import Point, Row
from sinr_codec.bench.runs import about_run
from sinr_codec.bench.tables import number, table, write_text
from sinr_codec.errors import InputError
from sinr_codec.types import JsonObject

QUALITIES: Final = (24.0, 26.0, 28.0, 30.0)
"""dB at which rates are compared."""
SHARED_BY: Final = (12, 24, 1000)
"""Signals that a base is told to be shared by: those of the paper, all Kodak pictures, many."""
_NOT_COMPARABLE: Final = (
    "Published curves are means of the 24 Kodak pictures at full size: other pictures and smaller ones cannot be "
    "compared with them."
)
_PROTOCOLS: Final = {"paper": "paper", "own": "own best", "classical": "classical"}


def report(out: Path, results: Path | None = None) -> list[Path]:
    """Write `out`/report from the points of a run, if it has any; the same points give the same files, to the byte.

    Parameters
    ----------
    out
        Folder of the run.
    results
        A folder for results without files and fits: a JSON and a plot for each experiment.

    Raises
    ------
    InputError
        A point that is no JSON, or lacks what every point has.
    """
    folder = out / "report"
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, points in read_points(out).items():
        rows = summarise(points)
        written += [
            write_text(folder / f"{name}.md", page(name, points, rows)),
            write_text(folder / f"{name}.csv", points_csv(points)),
            write_text(folder / f"{name}-summary.csv", rows_csv(rows)),
        ]
        picture = plots.rate_distortion(
            name, points[0]["kind"], points[0]["measure"], comparable(rows), folder / f"{name}.png"
        )
        written.append(picture)
        if points[0]["kind"] == "image":
            for method, schema in compressai(name, rows).items():
                written.append(write_text(folder / "compressai" / f"{name}-{method}.json", _json(schema)))
            written += write_crops(out, points, folder / f"{name}-crops.png")
        if results is not None:
            results.mkdir(parents=True, exist_ok=True)
            written.append(write_text(results / f"{name}.json", _json(compact(out, name, points, rows), indent=None)))
            shutil.copyfile(picture, results / f"{name}.png")
            written.append(results / f"{name}.png")
    return written


def read_points(out: Path) -> dict[str, list[Point]]:
    """All points of a run by experiment, in order of signal, configuration and method."""
    found: dict[str, list[Point]] = {}
    for path in sorted((out / "points").rglob("*.json")):
        if path.relative_to(out / "points").parts[0] not in EXPERIMENTS:
            continue
        try:
            point = json.loads(path.read_text())
            if lacking := [key for key in _EVERY_POINT if key not in point]:
                raise KeyError(lacking[0])
            found.setdefault(point["experiment"], []).append(point)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}: not a point of a run; remove it and run again with --resume") from error
    return dict(sorted(found.items()))


# -- means -----------------------------------------------------------------------------------------------------


def summarise(points: Sequence[Point]) -> list[Row]:
    """Means of every method and configuration, over the signals that all methods of the configuration have.

    A method that no signal shares with the others, and a classical codec, which does not bring every picture down to
    every rate, is averaged over what it has; `signals` tells.
    """
    groups: dict[tuple[str, str], dict[str, Point]] = {}
    for point in points:
        groups.setdefault((point["configuration"], point["method"]), {})[point["signal"]] = point
    rows = []
    for (configuration, _), members in groups.items():
        alike = [set(g) for (c, _), g in groups.items() if c == configuration]
        classical = next(iter(members.values()))["protocol"] == "classical"
        common = set(members) if classical else set.intersection(*alike)
        chosen = [members[signal] for signal in sorted(common or members)]
        rows.append(_row(configuration, chosen, groups.get((configuration, _base(chosen[0])), {})))
    return sorted(rows, key=_order)


def _base(point: Point) -> str:
    """The method that codes the same networks as the paper codes everybody's."""
    training = point["training"]
    known = {"sine": "minmax", None: "minmax", "sine-pe-l1": "inric-pe-minmax"}
    return known.get(training, f"{training}-minmax")


def _row(configuration: str, chosen: Sequence[Point], base: Mapping[str, Point]) -> Row:
    first = chosen[0]

    def mean(values: Iterable[float | None]) -> float | None:
        known = list(values)
        return (
            None if not known or any(v is None for v in known) else float(np.mean([v for v in known if v is not None]))
        )

    ratios = [p["bytes"] / base[p["signal"]]["bytes"] if p["signal"] in base else None for p in chosen]
    rates = [None if p["published_bytes"] is None else 8 * p["published_bytes"] / p["samples"] for p in chosen]
    losses = [None if p["fit_db"] is None or p["db"] is None else p["fit_db"] - p["db"] for p in chosen]
    figures = {key: mean(p["figures"].get(key) for p in chosen) for key in first["figures"]}
    return Row(
        first["method"],
        first["title"],
        first["protocol"],
        configuration,
        len(chosen),
        mean(p["params"] for p in chosen),
        mean(p["bytes"] for p in chosen) or 0.0,
        mean(p["bpp"] for p in chosen) or 0.0,
        mean(rates),
        float(np.mean([p["db"] if p["db"] is not None else np.inf for p in chosen])),
        mean(losses),
        None if first["protocol"] == "classical" else mean(ratios),
        {key: value for key, value in figures.items() if value is not None},
    )


def _order(row: Row) -> tuple[int, bool, float, str, float, str]:
    size = row.params if row.params is not None else row.bpp
    return (
        list(_PROTOCOLS).index(row.protocol),
        row.protocol == "classical",
        size,
        row.configuration,
        -row.bytes,
        row.method,
    )


def comparable(rows: Sequence[Row]) -> list[Row]:
    """The rows without classical codecs at rates that some pictures do not come down to: means of other pictures."""
    most = max((row.signals for row in rows), default=0)
    return [row for row in rows if row.protocol != "classical" or row.signals == most]


def curves(rows: Sequence[Row]) -> dict[str, list[tuple[float, float]]]:
    """(bpp, dB) of each method over its configurations, in order of rate."""
    found: dict[str, list[tuple[float, float]]] = {}
    for row in comparable(rows):
        found.setdefault(row.method, []).append((row.bpp, row.db))
    return {method: sorted(points) for method, points in found.items()}


# -- tables ----------------------------------------------------------------------------------------------------


def page(name: str, points: Sequence[Point], rows: Sequence[Row]) -> str:
    """The tables of an experiment as Markdown."""
    title = EXPERIMENTS[name].title
    signals = sorted({point["signal"] for point in points})
    scale = sorted({str(point["scale"]) for point in points})
    steps = sorted({point["steps"] for point in points if point["steps"]})
    text = [
        f"# {title}",
        f"{len(signals)} signal(s) at scale {', '.join(scale)}; fits of {', '.join(map(str, steps)) or 'no'} steps. "
        "Bytes are of whole files, quality of what they decode to. Protocol *paper*: 16-bit min-max quantiser and "
        "Brotli for every method; *own best*: each with its own quantiser and coder. *Published* counts as the authors "
        "of a method do. Loss is against the uncoded network; ratio is of bytes to 16-bit min-max + Brotli of the same "
        "networks.",
    ]
    if points[0]["kind"] == "image" and not whole_set(points):
        text.append(_NOT_COMPARABLE)
    text.append(means_table(rows, points[0]["measure"]))
    if any("iou" in row.figures for row in rows):
        text += ["## IoU", _figure_table(rows, "iou", ".4f")]
    if points[0]["kind"] == "image":
        if any(point.get("receiver_bytes") for point in points):
            text += ["## What a receiver must hold", receiver_table(points)]
        text += ["## Bits a pixel at equal quality", quality_table(rows)]
        if deltas := delta_table(rows, whole_set(points)):
            text += ["## Bjontegaard deltas", deltas]
    return "\n\n".join(text) + "\n"


def means_table(rows: Sequence[Row], measure: str) -> str:
    """A line a method and configuration: rates, quality, and loss against the uncoded network."""
    heads = ["protocol", "method", "network", "n", "parameters", "bytes", "bpp", "published bpp"]
    lines = (
        [
            _PROTOCOLS[row.protocol],
            row.title,
            row.configuration,
            str(row.signals),
            number(row.params, ",.0f"),
            number(row.bytes, ",.0f"),
            number(row.bpp, ".3f"),
            number(row.published_bpp, ".3f"),
            number(row.db, "z.2f"),
            number(row.loss, "z.2f"),
            number(row.ratio, ".3f"),
        ]
        for row in rows
    )
    return table([*heads, f"{measure}, dB", "loss, dB", "ratio"], lines)


def receiver_table(points: Sequence[Point]) -> str:
    """Rates of files that need a base: alone, with a share of it, and with all of it."""
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        if point.get("receiver_bytes"):
            groups.setdefault((point["title"], point["configuration"]), []).append(point)
    lines = []
    for (title, configuration), members in groups.items():
        size = float(np.mean([point["bytes"] for point in members]))
        units = float(np.mean([point["samples"] for point in members]))
        held = members[0]["receiver_bytes"]
        rates = [rate_with_base(size, held, units, signals) for signals in SHARED_BY]
        cells = [f"{held:,}", f"{size:,.0f}", f"{rates[0].per_signal:.3f}"]
        lines.append([title, configuration, *cells, *(f"{r.amortised:.3f}" for r in rates), f"{rates[0].cold:.3f}"])
    shared = (f"base shared by {signals:,}" for signals in SHARED_BY)
    heads = ["method", "network", "base, bytes", "file, bytes", "bpp of the file", *shared, "bpp with all of the base"]
    return table(heads, lines)


def quality_table(rows: Sequence[Row]) -> str:
    """Rates of our methods and of published curves at the same qualities, interpolated in log rate."""
    titles = {row.method: (row.title, _PROTOCOLS[row.protocol]) for row in rows}
    lines = [
        [*titles[method], *(number(rate_at(points, db), ".3f") for db in QUALITIES)]
        for method, points in curves(rows).items()
        if len(points) > 1
    ]
    lines += [
        [curve.name, "published", *(number(rate_at(curve.points, db), ".3f") for db in QUALITIES)] for curve in CURVES
    ]
    lines += [
        [f"{method} (SINR's paper)", "paper", *(f"{bpp:g}" if db == wanted else "-" for wanted in QUALITIES)]
        for method, bpp, db in PAPER
    ]
    return table(["method", "protocol", *(f"{db:g} dB" for db in QUALITIES)], lines)


def whole_set(points: Sequence[Point]) -> bool:
    """Whether a run is of what published curves are means of: the 24 Kodak pictures, at full size."""
    signals = {point["signal"] for point in points}
    return signals == {f"kodim{n:02}" for n in range(1, 25)} and {point["scale"] for point in points} == {"1"}


def delta_table(rows: Sequence[Row], published: bool) -> str:
    """Bjontegaard deltas of every method against 16-bit min-max + Brotli and, where it may be, published JPEG."""
    found = curves(rows)
    titles = {row.method: row.title for row in rows}
    anchors: dict[str, Points] = {"min-max": found.get("minmax", [])}
    if published:
        anchors["published JPEG"] = next(curve.points for curve in CURVES if curve.name.startswith("JPEG ("))
    lines = []
    for method, points in found.items():
        cells = [
            number(delta(anchor, points), form)
            for anchor in anchors.values()
            for delta, form in ((bd_rate, "+.1f"), (bd_psnr, "+.2f"))
        ]
        if method != "minmax" and any(cell != "-" for cell in cells):
            lines.append([titles[method], *cells])
    heads = ["method", *(head for name in anchors for head in (f"rate to {name}, %", f"dB to {name}"))]
    return table(heads, lines) if lines else ""


def _figure_table(rows: Sequence[Row], figure: str, form: str) -> str:
    lines = [[r.title, r.configuration, number(r.bytes, ",.0f"), number(r.figures.get(figure), form)] for r in rows]
    return table(["method", "network", "bytes", figure], lines)


_COLUMNS: Final = (
    "experiment",
    "signal",
    "configuration",
    "method",
    "protocol",
    "training",
    "scale",
    "steps",
    "samples",
    "weights",
)
_EVERY_POINT: Final = (
    *_COLUMNS,
    "kind",
    "measure",
    "title",
    "figures",
    "bytes",
    "bpp",
    "params",
    "db",
    "fit_db",
    "file",
)
_MEASURED: Final = ("params", "bytes", "bpp", "published_bytes", "db", "fit_db")


def points_csv(points: Sequence[Point]) -> str:
    """One line a point."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_COLUMNS, *_MEASURED, "fit_seconds", "code_seconds"])
    for point in points:
        seconds = point.get("seconds", {})
        values = [point.get(name) for name in (*_COLUMNS, *_MEASURED)] + [seconds.get("fit"), seconds.get("code")]
        writer.writerow(["" if value is None else value for value in values])
    return text.getvalue()


def rows_csv(rows: Sequence[Row]) -> str:
    """One line a method and configuration."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [field.name for field in fields(Row) if field.name not in ("title", "figures")]
    writer.writerow(names)
    for row in rows:
        writer.writerow(["" if (value := getattr(row, name)) is None else value for name in names])
    return text.getvalue()


def compressai(name: str, rows: Sequence[Row]) -> dict[str, JsonObject]:
    """Results of each method in the schema of CompressAI's result files."""
    schemas = {}
    for method, points in curves(rows).items():
        title = next(row.title for row in rows if row.method == method)
        signals = min(row.signals for row in rows if row.method == method)
        schemas[method] = {
            "name": title,
            "description": f"{EXPERIMENTS[name].title}; mean of {signals} pictures",
            "results": {"bpp": [bpp for bpp, _ in points], "psnr-rgb": [db for _, db in points]},
        }
    return schemas


def compact(out: Path, name: str, points: Sequence[Point], rows: Sequence[Row]) -> JsonObject:
    """The results of an experiment as one JSON: where they are from, means, and every point in a line."""
    columns = ["signal", "configuration", "method", "bytes", "db", "fit_db"]
    values = [
        [point[c] if not isinstance(point[c], float) else round(point[c], 4) for c in columns] for point in points
    ]
    summary = [{k: _rounded(v) for k, v in vars(row).items()} for row in rows]
    return about_run(out, name) | {"summary": summary, "columns": columns, "points": values}


def _rounded(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 5) if isinstance(value, float) else value


def summary_text(out: Path) -> str:
    """A table for a terminal."""
    lines = []
    for name, points in read_points(out).items():
        rows = summarise(points)
        lines += [
            f"{name}: {EXPERIMENTS[name].title}",
            f"  {'method':<32}{'network':>8}{'n':>4}{'bytes':>9}{'bpp':>8}{'dB':>8}{'loss':>7}",
        ]
        lines += [
            f"  {row.title:<32.32}{row.configuration:>8}{row.signals:>4}{row.bytes:>9,.0f}{row.bpp:>8.3f}{row.db:>8.2f}"
            f"{number(row.loss, 'z.2f'):>7}"
            for row in rows
        ]
    return "\n".join(lines)


def _json(value: JsonObject, indent: int | None = 1) -> str:
    if indent is not None:
        return json.dumps(value, indent=indent) + "\n"
    # one line a point or row keeps the file readable and small
    text = json.dumps({k: v for k, v in value.items() if k not in ("summary", "points")}, indent=1)[:-2]
    for key in ("summary", "points"):
        lines = ",\n  ".join(json.dumps(line) for line in value[key])
        text += f',\n "{key}": [\n  {lines}\n ]'
    return text + "\n}\n"
