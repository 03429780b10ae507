"""Running an experiment: a folder in which every point is a file, written when it is done, and never done twice."""

import difflib
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from sinr_codec.bases import read_base
from sinr_codec.bench import learned
from sinr_codec.bench.experiments import Configuration, Experiment, Item, items_of, learned_from, pictures_in
from sinr_codec.bench.fits import Fits, Fitted, content_key
from sinr_codec.bench.provenance import provenance
from sinr_codec.bench.rows import Point
from sinr_codec.encoding.files import file_of
from sinr_codec.errors import InputError
from sinr_codec.evaluators import tile_of
from sinr_codec.fields import Field, Identity
from sinr_codec.files import atomic_write, write_bytes
from sinr_codec.methods import METHODS, Method, Task, Training, inric
from sinr_codec.presets import PRESETS
from sinr_codec.progress import NullProgress, Progress
from sinr_codec.signals import registry
from sinr_codec.signals.base import Fields, Quality, Signal
from sinr_codec.types import JsonObject

IOU_SLACK: Final = 1e-3
"""IoU that methods which plan may lose: 0.1 dB of 1 - IoU is a few voxels."""
LEAST_SIDE: Final = 8
"""Pixels of a picture that is made smaller."""
TOGETHER_LR: Final = 2e-3
"""Of Adam, where networks are fitted in a batch."""


@dataclass(frozen=True)
class Settings:
    """How an experiment is run.

    Attributes
    ----------
    data, out
        Folder with the signals, and folder of the run.
    numbers
        Which of the signals, counted from 1; None for all.
    scale
        Pictures are made that much smaller; shapes get that many voxels fewer along each side.
    steps
        Of the fits; None for the experiment's own.
    effort
        Share of the published training that methods spend which train further, such as INRIC.
    device, jobs
        Where torch works, and how many processes.
    together
        Pictures of equal size that are fitted as one batch, by Adam.
    methods, configurations
        Names; None for those of the experiment.
    bases
        Folder of bases that need not be learned, named as `learned.base_name` has it.
    learn_from
        Folder of pictures to learn bases from, instead of those in `data` that are not tested.
    learn_steps
        Of the learning of a base; None for the experiment's own.
    """

    data: Path
    out: Path
    numbers: range | None = None
    scale: Fraction = Fraction(1)
    steps: int | None = None
    effort: float = 0.3
    seed: int = 0
    device: str = "cpu"
    jobs: int = 1
    together: int = 1
    methods: tuple[str, ...] | None = None
    configurations: tuple[str, ...] | None = None
    bases: Path | None = None
    learn_from: Path | None = None
    learn_steps: int | None = None

    def to_json(self) -> JsonObject:
        """What must be the same for points to belong to the same run."""
        return {
            "scale": str(self.scale),
            "steps": self.steps,
            "effort": self.effort,
            "seed": self.seed,
            "optimizer": "adam" if self.together > 1 else None,
        } | ({} if self.learn_steps is None else {"learn_steps": self.learn_steps})


@dataclass(frozen=True)
class Unit:
    """Work that shares trained networks: a signal with a network, or with the classical codecs."""

    experiment: Experiment
    item: Item
    configuration: Configuration | None
    methods: tuple[str, ...]


# -- a run -----------------------------------------------------------------------------------------------------


def run(
    experiment: Experiment, settings: Settings, *, resume: bool = False, progress: Progress | None = None
) -> list[Path]:
    """Run an experiment and give the files of its points; those that exist are left as they are.

    Raises
    ------
    InputError
        No signals; or the folder has points already and `resume` is not set, or points with other settings.
    """
    progress = progress or NullProgress()
    units = list(units_of(experiment, settings))
    for item in {unit.item.name: unit.item for unit in units}.values():
        if item.kind == "image":
            load_item(item, settings)  # a damaged picture ends a run now, not after hours
    open_run(experiment.name, settings, resume)
    units = [unit for unit in units if missing(unit, settings) and _has_room(unit, settings, progress)]
    if experiment.learning is not None:
        _learn_bases(experiment, units, settings, progress)
    if settings.together > 1:
        _fit_together(units, settings, progress)
    work_through(units, run_unit, settings, progress)
    return sorted((settings.out / "points" / experiment.name).rglob("*.json"))


def work_through(
    units: Sequence[Unit], work: Callable[[Unit, Settings], None], settings: Settings, progress: Progress
) -> None:
    """Do the work of units, one after the other or in processes; the first error ends it."""
    progress.start(units[0].experiment.name if units else "nothing left to do", max(len(units), 1))
    if settings.jobs > 1 and len(units) > 1:
        _in_processes(units, work, settings, progress)
        return
    for done, unit in enumerate(units):
        progress.update(done, unit_name(unit))
        work(unit, settings)


def run_analysis(
    experiment: Experiment,
    measure: Callable[[Unit, Settings], None],
    settings: Settings,
    *,
    resume: bool = False,
    progress: Progress,
) -> None:
    """Measure the networks of an experiment that codes none; a point for each, which `measure` writes."""
    units = list(units_of(experiment, settings))
    open_run(experiment.name, settings, resume)
    work_through([u for u in units if not point_file(u, settings).exists()], measure, settings, progress)


def points_of(out: Path, name: str) -> list[Point]:
    """The points that a run has of an analysis."""
    return [json.loads(path.read_text()) for path in sorted((out / "points" / name).rglob("*.json"))]


def about_run(out: Path, name: str) -> JsonObject:
    """Name, settings and provenance of an experiment of a run, as its `run.json` has them."""
    return {"name": name, **json.loads((out / "run.json").read_text())["experiments"].get(name, {})}


def open_run(name: str, settings: Settings, resume: bool) -> None:
    """Make the folder of a run and its `run.json`, or check that the one there is belongs to these settings.

    The folder may have fits already.

    Raises
    ------
    InputError
        The folder has points of the experiment and `resume` is not set, or they were made with other settings.
    """
    if settings.out.exists() and not settings.out.is_dir():
        raise InputError(f"{settings.out}: is a file; name a folder by --out")
    about = settings.out / "run.json"
    known: dict[str, JsonObject] = {}
    if about.exists():
        try:
            known = json.loads(about.read_text())["experiments"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{about}: expected the description of a run; name another folder by --out") from error
    elif settings.out.is_dir() and any(path.name != "fits" for path in settings.out.iterdir()):
        raise InputError(f"{settings.out}: is not empty and holds no run; name another folder by --out")
    begun = any((settings.out / "points" / name).rglob("*.*"))
    if name in known and begun:
        if not resume:
            raise InputError(f"{settings.out}: has {name} already; add --resume to go on, or name another --out")
        if known[name]["settings"] != settings.to_json():
            before = json.dumps(known[name]["settings"])
            raise InputError(f"{settings.out}: {name} was begun with {before}; use the same, or name another --out")
        again = {key: value for key, value in provenance().items() if key in ("command", "commit", "date")}
        known[name]["resumed"] = [*known[name].get("resumed", []), again]
    else:
        settings.out.mkdir(parents=True, exist_ok=True)
        known[name] = {"settings": settings.to_json(), **provenance()}
    with atomic_write(about) as temporary:
        temporary.write_text(json.dumps({"experiments": known}, indent=1) + "\n")


def units_of(experiment: Experiment, settings: Settings) -> Iterator[Unit]:
    """All work of an experiment: signal by signal, so that a run that is stopped has whole signals.

    Raises
    ------
    InputError
        A method or a network that is not known, a method of pictures for another kind of signal, or no signals.
    """
    methods = _chosen("methods", settings.methods, experiment.methods, METHODS)
    by_name = {c.name: c for c in experiment.configurations}
    configurations = [by_name[name] for name in _chosen("configurations", settings.configurations, by_name, by_name)]
    for item in items_of(experiment, settings.data, settings.numbers):
        for name in methods:
            if item.kind != "image" and not isinstance(METHODS[name].training.encoding, Identity):
                raise InputError(
                    f"methods: {name} is of pictures, whose networks it gives an encoding, not of {item.path}"
                )
        for configuration in [item.configuration] if item.configuration else configurations:
            yield Unit(experiment, item, configuration, methods)
        if experiment.methods and (experiment.classical or item.kind == "shape") and settings.methods is None:
            yield Unit(experiment, item, None, ())


def _chosen(what: str, wanted: Sequence[str] | None, usual: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    """The names that were asked for, or the usual ones."""
    if wanted is None:
        return tuple(usual)
    if not wanted:
        raise InputError(f"{what}: expected names with commas between them, such as {','.join(list(usual)[:2])}")
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name.lower(), known, 3, 0.5) or list(usual)
            raise InputError(f"{what}: expected some of {', '.join(near)}, got {name!r}")
    return tuple(dict.fromkeys(wanted))


def unit_name(unit: Unit) -> str:
    """For people."""
    return f"{unit.item.name} {unit.configuration.name if unit.configuration else 'classical codecs'}"


def _trainings(unit: Unit) -> Collection[Training]:
    """How the networks of a unit are trained, each once."""
    return {METHODS[name].training.name: METHODS[name].training for name in unit.methods}.values()


def _has_room(unit: Unit, settings: Settings, progress: Progress) -> bool:
    """Whether a rate leaves bytes for latents beside their network; a picture that is scaled down may be too small."""
    if unit.configuration is None or (rate := unit.configuration.rate) is None:
        return True
    from sinr_codec.fit.latents import bytes_of_latents

    loaded = load_item(unit.item, settings)
    made = [network_of(loaded, unit, settings, training) for training in _trainings(unit)]
    room = min(bytes_of_latents(task.field, fit["bits"] * len(task.part)) for task, fit in made)
    if room <= 0:
        progress.start(f"{unit_name(unit)} is left out: {rate:g} bits a sample do not hold its network", 0)
    return room > 0


def missing(unit: Unit, settings: Settings) -> list[str]:
    """Names of the points of a unit that are not there."""
    if unit.configuration is None:
        return [] if _folder(unit, settings, "classical").with_suffix(".done").exists() else ["classical"]
    folder = _folder(unit, settings, unit.configuration.name)
    return [name for name in unit.methods if not (folder / f"{name}.json").exists()]


def _folder(unit: Unit, settings: Settings, configuration: str, root: str = "points") -> Path:
    return settings.out / root / unit.experiment.name / unit.item.name / configuration


def point_file(unit: Unit, settings: Settings) -> Path:
    """The one point of a unit that measures a network and codes none."""
    assert unit.configuration is not None
    path = _folder(unit, settings, unit.configuration.name).with_suffix(".json")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _in_processes(
    units: Sequence[Unit], work: Callable[[Unit, Settings], None], settings: Settings, progress: Progress
) -> None:
    # spawn: torch and forks do not go together
    with ProcessPoolExecutor(settings.jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        futures = {pool.submit(work, unit, settings): unit for unit in units}
        try:
            for done, future in enumerate(as_completed(futures), 1):
                future.result()
                progress.update(done, unit_name(futures[future]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_thread() -> None:
    from sinr_codec.fit.threads import one_thread

    one_thread()


# -- one signal ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loaded:
    """A signal of an experiment, at the scale of the run, and its name by content."""

    signal: Signal
    source: Path
    key: str


def load_item(item: Item, settings: Settings) -> Loaded:
    """Read a signal."""
    path = settings.data / item.path
    options = dict(item.options)
    if item.kind == "shape":
        options["resolution"] = max(8, round(options.get("resolution", 256) * settings.scale))
    source = _picture(path, settings.scale) if item.kind == "image" else path
    signal = registry.load(source, item.kind, **options)
    if item.kind == "image":
        key = content_key(np.asarray(signal.array), repr(signal.spec))  # type: ignore[attr-defined]
    else:
        key = content_key(path.read_bytes(), options)
    return Loaded(signal, path, key)


def _picture(path: Path, scale: Fraction) -> Path | Image.Image:
    """A picture, or what it is scaled down by averaging."""
    if scale == 1:
        return path
    try:
        with Image.open(path) as picture:
            width, height = (round(side * scale) for side in picture.size)
            if min(width, height) < LEAST_SIDE:
                raise InputError(
                    f"{path}: scale {scale} leaves fewer than {LEAST_SIDE} pixels a side; name a larger one"
                )
            return picture.resize((width, height), Image.Resampling.BOX)
    except OSError as error:
        raise InputError(f"{path}: not a picture that can be read") from error


def network_of(loaded: Loaded, unit: Unit, settings: Settings, training: Training) -> tuple[Task, dict[str, Any]]:
    """The network of a configuration under a training, without weights, and the settings of its fit."""
    spec, configuration = loaded.signal.spec, unit.configuration
    assert configuration is not None
    recipe = registry.kind_named(spec.KIND).recipe
    if (training.network is None) != (configuration.rate is None):
        kind = "a rate" if configuration.rate is None else "layers and neurons"
        raise InputError(
            f"{unit.experiment.name}: training {training.name} is for networks by {kind}, not for this one"
        )
    if spec.KIND == "image":
        recipe = replace(recipe, activation=training.activation, encoding=training.encoding)
    part = loaded.signal.parts[0]
    fit: dict[str, Any]
    if training.base is not None:
        base = read_base(settings.out / "bases" / learned.base_name(training, configuration))
        fit = dict(unit.experiment.fit or {})
        fit |= {"steps": settings.steps} if settings.steps is not None else {}
        if not base.field.latents:
            fit["steps"] = inric.fewer(fit["steps"])
        return learned.task_of(base, loaded.signal, settings.seed, settings.device, settings.effort), fit
    if training.network is not None and configuration.rate is not None:
        network = training.network(spec, configuration.rate, None, None)
        bits = (configuration.rate * spec.samples - 8 * len(spec.side)) / len(part)
        fit = {**training.settings("balanced", spec.KIND), "bits": bits}
    else:
        network = recipe.network(spec, configuration.width, configuration.depth)
        of_pictures = unit.experiment.fit if spec.KIND == "image" else None
        fit = dict(recipe.settings(PRESETS["balanced"]) if of_pictures is None else of_pictures)
        fit |= {"l1": training.l1} if training.l1 else {}
        fit |= {"optimizer": "adam", "lr": TOGETHER_LR} if settings.together > 1 else {}
    fit |= {"steps": settings.steps} if settings.steps is not None else {}
    slack = IOU_SLACK if spec.KIND == "shape" else 0.0
    return Task(network, {}, part, settings.seed, settings.device, slack=slack, effort=settings.effort), fit


def task_of(loaded: Loaded, unit: Unit, settings: Settings, training: Training, fits: Fits) -> tuple[Task, Fitted]:
    """The trained network of a configuration under a training; trained now, where it is not kept."""
    task, fit = network_of(loaded, unit, settings, training)
    if task.base is not None:
        fitted = learned.fitted_from(task, loaded.key, fit, fits)
        return task.with_params(fitted.params), fitted
    fitted = fits.get(loaded.key, task.part, task.trainable, fit, settings.seed)
    return task.with_params(fitted.params), fitted


def _learn_bases(experiment: Experiment, units: Sequence[Unit], settings: Settings, progress: Progress) -> None:
    """Provide the bases that units need, in the order of the configurations."""
    tested = {item.name for item in items_of(experiment, settings.data, settings.numbers)}
    if settings.learn_from is None:
        folder, items = settings.data, learned_from(settings.data, tested)
    else:
        folder = settings.learn_from
        items = list(pictures_in(folder))
    wanted = {
        (METHODS[name].training.name, configuration.name): (METHODS[name].training, configuration)
        for configuration in experiment.configurations
        for unit in units
        if unit.configuration == configuration
        for name in unit.methods
        if METHODS[name].training.base is not None
    }
    pictures = [_picture(folder / item.path, settings.scale) for item in items]
    for training, configuration in wanted.values():
        learned.provide(
            settings.out / "bases",
            training,
            configuration,
            experiment,
            pictures,
            given=settings.bases,
            steps=settings.learn_steps,
            seed=settings.seed,
            device=settings.device,
            progress=progress,
        )


def _fit_together(units: Sequence[Unit], settings: Settings, progress: Progress) -> None:
    """Train the networks of units so many at once; the units then find them."""
    fits = Fits(settings.out / "fits", settings.device)
    groups: dict[Any, list[tuple[Loaded, Task, dict[str, Any]]]] = {}
    for unit in units:
        if unit.configuration is None:
            continue
        loaded = load_item(unit.item, settings)
        for training in _trainings(unit):
            if training.network is not None or training.base is not None:
                continue  # it is fitted by itself
            task, fit = network_of(loaded, unit, settings, training)
            groups.setdefault((task.field, fit.get("l1"), len(task.part)), []).append((loaded, task, fit))
    for members in groups.values():
        for first in range(0, len(members), settings.together):
            some = members[first : first + settings.together]
            progress.start(f"{some[0][1].field.describe()}, {len(some)} at once", some[0][2]["steps"])
            fits.get_many(
                [loaded.key for loaded, _, _ in some],
                [task.part for _, task, _ in some],
                some[0][1].field,
                some[0][2],
                settings.seed,
                lambda step, _, loss: progress.update(step, f"loss {loss:.3g}"),
            )


def run_unit(unit: Unit, settings: Settings) -> None:
    """Make the points of a unit that are not there."""
    wanted = missing(unit, settings)
    if not wanted:
        return
    loaded = load_item(unit.item, settings)
    _keep_original(unit, loaded, settings)
    if unit.configuration is None:
        (_lossless if loaded.signal.spec.KIND == "shape" else _classical)(unit, loaded, settings)
        return
    fits = Fits(settings.out / "fits", settings.device)
    uncoded: dict[str, float] = {}
    trained: dict[str, tuple[Task, Fitted]] = {}
    for name in wanted:
        method = METHODS[name]
        if method.training.name not in trained:
            trained[method.training.name] = task_of(loaded, unit, settings, method.training, fits)
        task, fitted = trained[method.training.name]
        if fitted.key not in uncoded:
            apply = task.field.decoder(dict(task.params))
            fields = Fields([apply], tile_of(task.field))
            uncoded[fitted.key] = loaded.signal.quality(partial(loaded.signal.spec.render, fields)).db
        point, blob = _coded(loaded, task, fitted, method, settings, fits)
        relative = Path("files") / unit.experiment.name / unit.item.name / unit.configuration.name / f"{name}.sinr"
        file = settings.out / relative
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, blob)
        point |= {"fit_db": _finite(uncoded[fitted.key]), "file": str(relative)}
        _write_point(unit, loaded, settings, unit.configuration.name, name, point)


def original_file(out: Path, experiment: str, signal: str) -> Path:
    """Where a run keeps a picture as its methods see it."""
    return out / "files" / experiment / signal / "original.png"


def _keep_original(unit: Unit, loaded: Loaded, settings: Settings) -> None:
    path = original_file(settings.out, unit.experiment.name, unit.item.name)
    if loaded.signal.spec.KIND != "image" or path.exists():
        return
    array = np.asarray(loaded.signal.array)  # type: ignore[attr-defined]
    if array.dtype == np.uint8 and array.shape[-1] in (1, 3):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array).save(temporary, format="png")


def _coded(
    loaded: Loaded, task: Task, fitted: Fitted, method: Method, settings: Settings, fits: Fits
) -> tuple[Point, bytes]:
    """Code a network; experiments that code the same one in the same way share what comes of it."""
    named = "" if task.base is None else f"-{task.base.digest.hex()[:8]}"
    kept = settings.out / "coded" / fitted.key / f"{method.name}{named}-effort{round(100 * settings.effort)}.sinr"
    about = kept.with_suffix(".json")
    if about.exists():
        point: Point = json.loads(about.read_text())
        return point, kept.read_bytes()
    began = time.perf_counter()
    if (finetune := method.finetune) is not None:
        key = content_key(fitted.key, repr(finetune), settings.effort)
        task = task.with_params(fits.keep(key, partial(finetune, task)).params)
    coded = method.code(task)
    seconds = time.perf_counter() - began
    blob, quality = file_of(loaded.signal, coded.field or task.field, [coded.plan], task.base)
    point = _point(loaded.signal, task.field, method, blob, quality)
    if task.base is not None:
        point |= {"base": task.base.digest.hex(), "receiver_bytes": task.base.receiver_bytes}
    point |= {
        "published_bytes": coded.published_bytes,
        "figures": {name: _finite(float(value)) for name, value in (quality.figures | dict(coded.figures)).items()},
        "seconds": {"fit": round(fitted.seconds, 2), "code": round(seconds, 2)},
        "fit": fitted.key,
        "steps": fitted.steps,
    }
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(kept, blob)
    write_json(about, point)
    return point, blob


def _point(signal: Signal, network: Field, method: Method, blob: bytes, quality: Quality) -> Point:
    samples = signal.spec.samples
    weights = sum(int(np.prod(shape)) for name, shape in network.shapes().items() if name.endswith("weight"))
    return {
        "method": method.name,
        "title": method.title,
        "protocol": method.protocol,
        "training": method.training.name,
        "weights": weights,
        "params": network.num_params,
        "bytes": len(blob),
        "bpp": 8 * len(blob) / samples,
        "db": _finite(quality.db),
    }


def _write_point(unit: Unit, loaded: Loaded, settings: Settings, configuration: str, name: str, point: Point) -> None:
    spec = loaded.signal.spec
    whole = {
        "experiment": unit.experiment.name,
        "kind": spec.KIND,
        "signal": unit.item.name,
        "configuration": configuration,
        "samples": spec.samples,
        "measure": spec.MEASURE,
        "scale": str(settings.scale),
        "source": unit.item.path,
    } | point
    folder = _folder(unit, settings, configuration)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / f"{name}.json", whole)


def write_json(path: Path, value: Point) -> None:
    """Write a point, whole or not at all."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def _finite(db: float) -> float | None:
    return float(db) if np.isfinite(db) else None


# -- classical codecs, and solids without loss -------------------------------------------------------------------

#: Name of the method and extension of the file, by name of the codec.
_CLASSICAL: Final = {
    "JPEG": ("jpeg", ".jpg"),
    "JPEG 2000": ("jpeg2000", ".jp2"),
    "WebP": ("webp", ".webp"),
    "AVIF": ("avif", ".avif"),
    "JPEG XL": ("jxl", ".jxl"),
}


def _classical(unit: Unit, loaded: Loaded, settings: Settings) -> None:
    """Every classical codec at every rate: the best quality in so many bytes."""
    from sinr_codec.bench.usual_codecs import Search, picture_codecs

    signal, samples = loaded.signal, loaded.signal.spec.samples
    array = np.asarray(signal.array)  # type: ignore[attr-defined]
    if array.dtype != np.uint8 or array.shape[-1] not in (1, 3):
        raise InputError(f"{loaded.source}: classical codecs are compared on 8-bit grey and RGB pictures only")
    plain = array[..., 0] if array.shape[-1] == 1 else array

    def quality(decoded: Any) -> float:
        return signal.quality(lambda **_: np.asarray(decoded).reshape(array.shape)).db

    searches = [Search(each, quality) for each in picture_codecs(plain, avif_speed=6)]
    for rate in unit.experiment.classical:
        limit = int(rate * samples / 8)
        for title, (name, suffix) in _CLASSICAL.items():
            found = [(s.at_bytes(limit), s) for s in searches if s.codec.name == title]
            tried = [(point, search) for point, search in found if point is not None]
            if not tried:
                continue  # the codec has no file that small
            best, search = max(tried, key=lambda pair: pair[0].db)
            relative = Path("files") / unit.experiment.name / unit.item.name / f"{rate:g}bpp" / f"{name}{suffix}"
            (settings.out / relative).parent.mkdir(parents=True, exist_ok=True)
            write_bytes(settings.out / relative, search.blob(best))
            point = _reference(name, title, best.bytes, samples) | {
                "db": best.db,
                "seconds": {"code": round(best.seconds, 3)},
                "file": str(relative),
            }
            _write_point(unit, loaded, settings, f"{rate:g}bpp", name, point)
    _mark_done(unit, settings)


def _lossless(unit: Unit, loaded: Loaded, settings: Settings) -> None:
    """What the solid takes without loss: a size that is computed, no file."""
    from sinr_codec.bench.lossless import lossless_bytes

    solid = loaded.signal.solid  # type: ignore[attr-defined]
    point = _reference("lossless", "lossless context coder", lossless_bytes(solid), loaded.signal.spec.samples)
    _write_point(unit, loaded, settings, "lossless", "lossless", point | {"figures": {"iou": 1.0}})
    _mark_done(unit, settings)


def _reference(name: str, title: str, size: int, samples: int) -> Point:
    """A point without a network."""
    known = {"method": name, "title": title, "protocol": "classical", "bytes": size, "bpp": 8 * size / samples}
    unknown = ("training", "weights", "params", "published_bytes", "db", "fit_db", "fit", "steps", "file")
    return known | dict.fromkeys(unknown) | {"figures": {}, "seconds": {}}


def _mark_done(unit: Unit, settings: Settings) -> None:
    done = _folder(unit, settings, "classical").with_suffix(".done")
    done.parent.mkdir(parents=True, exist_ok=True)
    done.touch()
