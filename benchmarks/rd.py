"""Rate and distortion of pictures: pyramids at several weights of the rate, beside the usual codecs.

    python benchmarks/rd.py --data DIR --out DIR [--presets fast,balanced] [--pictures kodim03,kodim13]
                            [--weights 0.02,0.008,0.004,0.0015,0.0005] [--jobs N] [--done] [--json FILE] [--plot FILE]

Bytes are those of files, header included; PSNR is of what they decode to. A point is a file and a JSON beside it, which
are written when the point is done and found again by picture, network and settings of the fit; after a change of the
fit itself, take another folder. Those of an earlier report, the file of --json, are put there first. With --done, none
is made: the report is on those that are there. PyTorch has one thread in each process. The usual codecs are searched
for their best quality at ten rates from 0.04 to 1 bpp.

Rates at 30 dB are interpolated between the points of a curve, linearly in the logarithm of the rate. They are given
twice: as the mean of the pictures' rates, and of the mean curve (mean rate and mean PSNR of each weight), which is all
that is published of most codecs. BD-rates are those of each picture against a usual codec, over the qualities that this
codec has between 0.08 and 1 bpp; negative ones are gains.
"""

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sinr_codec import codec
from sinr_codec.bench.fits import content_key
from sinr_codec.bench.plots import pyplot, save
from sinr_codec.bench.provenance import write_report
from sinr_codec.bench.published import CURVES
from sinr_codec.bench.rates import Points, bd_rate, rate_at
from sinr_codec.bench.runs import write_json
from sinr_codec.bench.tables import number, table
from sinr_codec.bench.usual_codecs import Codec, Search, picture_codecs
from sinr_codec.encoding.job import Job, job_for
from sinr_codec.encoding.request import Request
from sinr_codec.encoding.targets import reach
from sinr_codec.files import write_bytes
from sinr_codec.fit.threads import one_thread
from sinr_codec.methods.pyramid import pyramid
from sinr_codec.progress import NullProgress
from sinr_codec.signals.image import ImageSignal, psnr

PRESETS = ("fast", "balanced")
WEIGHTS = (0.02, 0.008, 0.004, 0.0015, 0.0005)
#: Rates of the usual codecs, in bits a pixel, and the least of them for BD-rates. Smooth pictures have 30 dB below it.
LEAST = 0.08
RATES = (LEAST / 2, LEAST / 2**0.5, *(float(rate) for rate in np.geomspace(LEAST, 1.0, 8)))
DB = 30.0
USUAL = ("JPEG", "JPEG 2000", "WebP", "JPEG XL", "AVIF")
PUBLISHED = tuple(
    f"{name} (published)" for name in ("COIN", "INRIC, meta-learned", "C3, adaptive", "Cool-Chic 5.0.1", "VTM")
)

Curves = Mapping[str, Points]
"""Points (bits a pixel, dB) by name, of a picture or a codec."""


# -- points ------------------------------------------------------------------------------------------------------


class Ours(NamedTuple):
    """A point of a pyramid: a picture under a preset, at a weight of the rate."""

    out: Path
    picture: Path
    preset: str
    weight: float
    steps: int | None

    def measure(self) -> dict[str, Any]:
        """Bytes, quality and seconds of the point."""
        file, job = self._file, self._job()
        array = np.asarray(job.signal.array)  # type: ignore[attr-defined]
        key = content_key(array, pyramid(job.spec, 0.0).to_header(), job.recipe.settings(job.preset))
        if (kept := _kept(self.kept, key)) is not None:
            return kept
        coded, encoding = _seconds(lambda: reach(job))
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, coded.blob)
        decoded, decoding = _seconds(lambda: codec.decode(file))
        point = {
            "picture": self.picture.stem,
            "preset": self.preset,
            "weight": self.weight,
            "bytes": file.stat().st_size,
            "bpp": 8 * file.stat().st_size / job.spec.samples,
            "db": psnr(array, decoded, 255),
            "encode_seconds": encoding,
            "decode_seconds": decoding,
            "key": key,
        }
        write_json(self.kept, point)
        return point

    @property
    def kept(self) -> Path:
        """Where the point is kept."""
        return self._file.with_suffix(".json")

    @property
    def _file(self) -> Path:
        return self.out / self.preset / f"{self.picture.stem}-{self.weight:g}.sinr"

    def _job(self) -> Job:
        """The job of `codec.encode` without a target, at another weight."""
        request = Request(preset=self.preset, method="pyramid")
        job = job_for(self.picture, request, None, {}, NullProgress(), self.picture.name)
        settings = job.recipe.settings(job.preset) | {"weight": self.weight}
        settings |= {} if self.steps is None else {"steps": self.steps}
        return replace(job, recipe=replace(job.recipe, fit={"": settings}))

    def words(self, point: Mapping[str, Any]) -> str:
        """The point in a line."""
        about = f"{point['bpp']:.4f} bpp, {point['db']:.2f} dB, {point['encode_seconds']['cpu']:.0f} s of CPU time"
        return f"{self.picture.stem}, {self.preset}, {self.weight:g}: {about}"


class Usual(NamedTuple):
    """The points of the usual codecs on a picture."""

    out: Path
    picture: Path

    def measure(self) -> dict[str, Any]:
        """The best point of each codec at each rate that it reaches."""
        file = self.kept
        array = np.asarray(ImageSignal.load(self.picture).array).squeeze()
        key = content_key(array, RATES)
        if (kept := _kept(file, key)) is not None:
            return kept
        searches = [Search(_thinned(each), lambda other: psnr(array, other, 255)) for each in picture_codecs(array)]
        pixels, curves = array.shape[0] * array.shape[1], defaultdict(list)
        for rate in RATES:
            found = [point for search in searches if (point := search.at_bytes(int(rate * pixels / 8)))]
            for name in USUAL:
                best = max((point for point in found if point.codec == name), key=lambda p: p.db, default=None)
                if best is not None:
                    about = {"bytes": best.bytes, "bpp": 8 * best.bytes / pixels, "db": best.db}
                    curves[name].append({"rate": rate, **about, "setting": best.setting})
        file.parent.mkdir(parents=True, exist_ok=True)
        points = {"picture": self.picture.stem, "curves": curves, "key": key}
        write_json(file, points)
        return points

    @property
    def kept(self) -> Path:
        """Where the points are kept."""
        return self.out / "usual" / f"{self.picture.stem}.json"

    def words(self, _: Mapping[str, Any]) -> str:
        """A line about the points."""
        return f"{self.picture.stem}: usual codecs"


def _thinned(usual: Codec) -> Codec:
    """A third of AVIF's settings: one takes a second, and the points are on the same curve."""
    return replace(usual, settings=usual.settings[::3]) if usual.name == "AVIF" else usual


def _kept(file: Path, key: str) -> dict[str, Any] | None:
    """What was measured before under this key."""
    kept: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return kept if kept.get("key") == key else None


def restore(report: Path, out: Path) -> None:
    """Put the points of an earlier report where they are kept."""
    results = json.loads(report.read_text())["results"]
    ours = [(Ours(out, Path(p["picture"]), p["preset"], p["weight"], None).kept, p) for p in results["points"]]
    for file, point in [*ours, *((Usual(out, Path(row["picture"])).kept, row) for row in results["usual"])]:
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, point)


def _seconds(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """The result, and CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = call()
    return result, {"cpu": round(time.process_time() - cpu, 2), "wall": round(time.perf_counter() - wall, 2)}


def measured(tasks: Sequence[Any], jobs: int) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Tasks and their points as they are done, in so many processes."""
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=one_thread) as pool:
        futures = {pool.submit(task.measure): task for task in tasks}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


# -- figures -----------------------------------------------------------------------------------------------------


def curves_of(
    ours: Iterable[Mapping[str, Any]], usual: Iterable[Mapping[str, Any]], least: float = 0.0
) -> dict[str, dict[str, Points]]:
    """Curves by codec and picture, the usual ones from a rate on; ours are called by preset."""
    found: dict[str, dict[str, Any]] = defaultdict(lambda: defaultdict(list))
    for point in ours:
        found[point["preset"]][point["picture"]].append((point["bpp"], point["db"]))
    for row in usual:
        for name, points in row["curves"].items():
            found[name][row["picture"]] = [(point["bpp"], point["db"]) for point in points if point["rate"] >= least]
    return {name: {picture: sorted(points) for picture, points in each.items()} for name, each in found.items()}


def mean_curve(curves: Curves, pictures: Sequence[str]) -> Points:
    """Mean rate and PSNR of the points that all pictures have, counted from the best: of a weight, or a rate."""
    if any(picture not in curves for picture in pictures):
        return []
    count = min(map(len, curves.values()))
    last = np.array([curves[picture][len(curves[picture]) - count :] for picture in pictures])
    return [(float(bpp), float(db)) for bpp, db in last.mean(0)] if count else []


def at_db(curves: Curves, pictures: Sequence[str]) -> dict[str, Any]:
    """Rates at 30 dB: of the pictures that have it, and of the mean curve."""
    rates = {picture: rate_at(curves.get(picture, ()), DB) for picture in pictures}
    known = [rate for rate in rates.values() if rate is not None]
    return {
        "mean_bpp": float(np.mean(known)) if known else None,
        "pictures": len(known),
        "mean_curve_bpp": rate_at(mean_curve(curves, pictures), DB),
        "bpp": rates,
    }


def against(ours: Curves, anchor: Curves, pictures: Sequence[str]) -> dict[str, Any]:
    """BD-rates of pictures against a usual codec in per cent, their mean, and how many are behind it."""
    deltas = {picture: bd_rate(anchor.get(picture, ()), ours.get(picture, ())) for picture in pictures}
    known = [delta for delta in deltas.values() if delta is not None]
    return {
        "mean_bd_rate": float(np.mean(known)) if known else None,
        "pictures": len(known),
        "behind": sum(delta > 0 for delta in known),
        "bd_rate": deltas,
    }


def figures(ours: Sequence[Mapping[str, Any]], usual: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the points say of every codec, by name."""
    pictures = sorted({row["picture"] for row in usual})
    curves, anchors, found = curves_of(ours, usual), curves_of((), usual, LEAST), {}
    ordered = [*(name for name in curves if name not in USUAL), *(name for name in USUAL if name in curves)]
    for name in ordered:
        each = curves[name]
        found[name] = {"at_30_db": at_db(each, pictures), "mean_curve": mean_curve(each, pictures)}
        mine = [point for point in ours if point["preset"] == name]
        if mine:
            found[name]["against"] = {anchor: against(each, anchors.get(anchor, {}), pictures) for anchor in USUAL}
            for what in ("encode_seconds", "decode_seconds"):
                found[name][what] = {
                    clock: float(np.median([point[what][clock] for point in mine])) for clock in ("cpu", "wall")
                }
    known = {curve.name: curve for curve in CURVES}
    for name in PUBLISHED:
        at = {"mean_curve_bpp": rate_at(known[name].points, DB)}
        found[name] = {"at_30_db": at, "mean_curve": known[name].points, "source": known[name].source}
    return found


def in_words(found: Mapping[str, Any]) -> str:
    """The figures as a Markdown table."""
    anchors = ("WebP", "AVIF")
    heads = ["codec", "pictures with 30 dB", "bpp at 30 dB", "of the mean curve"]
    heads += [f"BD-rate against {name}, %" for name in anchors] + [f"behind {name}" for name in anchors]
    heads += ["encode, median CPU s", "decode, median CPU s"]
    lines = []
    for name, row in found.items():
        at, rivals = row["at_30_db"], [row.get("against", {}).get(anchor, {}) for anchor in anchors]
        line = [name, str(at.get("pictures", "-")), number(at.get("mean_bpp"), ".3f")]
        line += [number(at["mean_curve_bpp"], ".3f"), *(number(each.get("mean_bd_rate"), "+.1f") for each in rivals)]
        line += [f"{each['behind']} of {each['pictures']}" if each else "-" for each in rivals]
        line += [number(row.get(what, {}).get("cpu"), ".3g") for what in ("encode_seconds", "decode_seconds")]
        lines.append(line)
    return table(heads, lines)


def plot(found: Mapping[str, Any], pictures: int, path: Path) -> Path:
    """Mean curves: ours with markers, the usual codecs as thin lines, published ones dashed."""
    plt = pyplot()
    figure, axes = plt.subplots(figsize=(8, 5.5))
    for name, row in found.items():
        if "against" in row:
            style = {"marker": "o", "ms": 5, "lw": 2, "label": f"pyramid, {name}"}
        else:
            style = {"ls": "--" if name in PUBLISHED else "-", "lw": 1.1, "label": name}
        if row["mean_curve"]:
            axes.plot(*zip(*row["mean_curve"]), **style)
    axes.set_xscale("log")
    axes.set_xlim(0.05, 2)
    axes.set_xticks(ticks := (0.05, 0.1, 0.2, 0.5, 1, 2), [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("rate, bits a pixel (whole file)")
    axes.set_ylabel("PSNR, dB")
    axes.set_title(f"mean of {pictures} picture(s); published: of the 24 Kodak pictures", fontsize=9, loc="left")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    return save(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the pictures, PNG")
    parser.add_argument("--pictures", type=_words, help="names without .png; by default all of the folder")
    parser.add_argument("--presets", type=_words, default=PRESETS)
    parser.add_argument("--weights", type=lambda text: tuple(map(float, _words(text))), default=WEIGHTS)
    parser.add_argument("--steps", type=int, help="of every fit; by default those of the preset")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--out", type=Path, required=True, help="folder for the points")
    parser.add_argument("--done", action="store_true", help="make no points, report on those that are there")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path, help="a PNG with the mean curves")
    args = parser.parse_args()
    names = args.pictures or sorted(path.stem for path in args.data.glob("*.png"))
    pictures = [args.data / f"{name}.png" for name in names]
    tasks: list[Ours | Usual] = [Usual(args.out, picture) for picture in pictures]
    tasks += [
        Ours(args.out, picture, preset, weight, args.steps)
        for preset in args.presets
        for picture in pictures
        for weight in args.weights
    ]
    if args.json is not None and args.json.exists():
        restore(args.json, args.out)
    if args.done:
        tasks = [task for task in tasks if task.kept.exists()]
    points = {}
    for task, point in measured(tasks, args.jobs):
        points[task] = point
        print(f"{len(points)} of {len(tasks)}: {task.words(point)}", flush=True)
    ours = [points[task] for task in tasks if isinstance(task, Ours)]
    usual = [points[task] for task in tasks if isinstance(task, Usual)]
    found = figures(ours, usual)
    print(in_words(found))
    settings = {"presets": args.presets, "weights": args.weights, "steps": args.steps, "jobs": args.jobs}
    write_report(args.json, "rd", {**settings, "figures": found, "points": ours, "usual": usual})
    if args.plot is not None:
        print(plot(found, len(pictures), args.plot))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


if __name__ == "__main__":
    main()
