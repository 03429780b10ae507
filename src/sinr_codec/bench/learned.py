"""The bases of a run: learned from pictures that are not tested, or taken from a folder; files that points name."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sinr_codec.bases import Base, read_base
from sinr_codec.bench.experiments import Configuration, Experiment
from sinr_codec.bench.fits import Fits, Fitted, content_key
from sinr_codec.errors import InputError
from sinr_codec.fields.modulated import LATENTS
from sinr_codec.learning import learn
from sinr_codec.methods import Task, Training, coinpp, inric
from sinr_codec.progress import Progress
from sinr_codec.signals.base import Signal
from sinr_codec.types import Array, Options


def base_name(training: Training, configuration: Configuration) -> str:
    """Name of the file of a base, such as "coinpp-d64.sinr"."""
    return f"{training.name}-{configuration.name}.sinr"


def provide(
    folder: Path,
    training: Training,
    configuration: Configuration,
    experiment: Experiment,
    pictures: Sequence[object],
    *,
    given: Path | None,
    steps: int | None,
    seed: int,
    device: str,
    progress: Progress,
) -> Path:
    """The file of a base in the folder of a run: there already, copied from the folder `given`, or learned now.

    A learning that is stopped goes on from its checkpoint in the folder.

    Raises
    ------
    InputError
        A file in `given` that is no base of this training, or no pictures to learn from.
    """
    path = folder / base_name(training, configuration)
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    if given is not None and (found := given / path.name).exists():
        _check(read_base(found), training, configuration, found)
        shutil.copyfile(found, path)
        return path
    start = None
    if configuration.start is not None:
        first = next(c for c in experiment.configurations if c.name == configuration.start)
        options: Options = {"given": given, "steps": steps, "seed": seed, "device": device, "progress": progress}
        start = provide(folder, training, first, experiment, pictures, **options)
    assert training.base is not None
    assert experiment.learning is not None
    if not pictures:
        raise InputError("bases: no pictures to learn from that are not tested; name some by --learn-from")
    settings = {**training.base, **experiment.learning, **configuration.network(), **configuration.learning}
    if steps is not None and settings.get("steps", 1) > 0:
        settings["steps"] = steps
    learned = learn(
        pictures,
        path,
        activation=training.activation,
        encoding=training.encoding,
        start=start,
        seed=seed,
        device=device,
        checkpoint=path.with_suffix(".checkpoint"),
        log=path.with_suffix(".jsonl"),
        progress=progress,
        **settings,
    )
    if learned.interrupted:
        path.unlink()
        raise KeyboardInterrupt
    return path


def _check(base: Base, training: Training, configuration: Configuration, path: Path) -> None:
    assert training.base is not None
    field: Any = base.field
    wrong = bool(field.latents) != (training.base["method"] == "coinpp")
    if field.latents:
        patch = configuration.patch
        wrong |= field.latents != configuration.latents or (patch is not None and base.patch != patch)
    else:
        wrong |= (field.hidden_layers, field.width) != (configuration.depth, configuration.width)
        wrong |= field.encoding != training.encoding
    if wrong:
        raise InputError(f"{path}: is a base of {field.describe()}, expected one for {configuration.name}")


def task_of(base: Base, signal: Signal, seed: int, device: str, effort: float) -> Task:
    """The network of a signal from a base, without its parameters."""
    network: Any = base.network(signal.spec)
    return Task(network, {}, signal.parts[0], seed, device, effort=effort, base=base)


def fitted_from(task: Task, key: str, fit: Options, fits: Fits) -> Fitted:
    """What a few steps from the base give: latents, or with a fit that follows, the difference of all parameters.

    `key` names the signal by its content. Bases that differ only in how latents are coded share the latents.
    """
    base = task.base
    assert base is not None
    from_base = content_key(base.field.to_header(), *base.params.values())
    if base.field.latents:
        steps = fit["steps"]

        def latents() -> dict[str, Array]:
            return {LATENTS: coinpp.latents_of(base, task.part, task.field.sizes, task.device, steps)}  # type: ignore[attr-defined]

        return fits.keep(content_key(key, from_base, base.inner, steps), latents, steps)
    begun = fits.keep(content_key(key, from_base, base.inner), lambda: inric.start_of(base, task.part, task.device))
    return fits.get(content_key(key, from_base), task.part, task.trainable, fit, task.seed, begun.params)
