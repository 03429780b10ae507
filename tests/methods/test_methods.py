"""Every method codes a network to a file that decodes by itself to what was measured, and counts as methods do."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sinr_codec import codec
from sinr_codec.bench.experiments import EXPERIMENTS
from sinr_codec.coding.tensor import Direct, Sparse
from sinr_codec.encoding.files import file_of
from sinr_codec.errors import InputError
from sinr_codec.fields import MLP, Field, Octaves, Sine
from sinr_codec.fit import FitConfig, fit
from sinr_codec.foreign.decompress import decompress
from sinr_codec.methods import METHODS, Task, inric, method_named, sinr
from sinr_codec.methods import trained as trained_for
from sinr_codec.methods.base import Params
from sinr_codec.quality import decibels
from sinr_codec.signals import registry

HEIGHT, WIDTH = 40, 60


def picture() -> np.ndarray:
    y, x = np.mgrid[:HEIGHT, :WIDTH] / WIDTH
    planes = [np.sin(7 * x) * y, np.cos(5 * (x + y)), np.exp(-9 * ((x - 0.4) ** 2 + (y - 0.3) ** 2))]
    noise = np.random.default_rng(0).normal(0, 12, (HEIGHT, WIDTH, 3))
    return np.uint8(np.clip(120 + 80 * np.stack(planes, -1) + noise, 0, 255))


SIGNAL = registry.load(Image.fromarray(picture()), "image")
(PART,) = SIGNAL.parts


def trained(field: Field, **settings: float) -> Params:
    config = FitConfig(optimizer="adam", lr=3e-3, steps=120, batch=512, compile=False, **settings)  # type: ignore[arg-type]
    return fit(field, PART, config).params


@pytest.fixture(scope="module")
def tasks() -> dict[str, Task]:
    """A network of width 52, too wide to be flattened, for each training."""
    found = {}
    for method in METHODS.values():
        training = method.training
        if training.name not in found:
            if training.network is None:
                field: Field = MLP(2, 3, 52, 1, training.activation, training.encoding)
                params = trained(field, l1=training.l1)
            else:
                field = training.network(SIGNAL.spec, 4.0, None, None)
                params = trained(field, bits=4.0)
            found[training.name] = Task(field, params, PART, max_drop=0.5, effort=0.002)
    return found


def psnr(blob: bytes) -> float:
    error = codec.decode(blob).astype(float) - picture()
    return float(-10 * np.log10(np.mean(error**2) / 255**2))


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.training.base is None])
def test_its_file_decodes_to_the_quality_it_reports(name: str, tasks: dict[str, Task]) -> None:
    method = METHODS[name]
    task = tasks[method.training.name]
    if isinstance(method.code, trained_for.Rated | trained_for.SparseFromTheStart):
        task = replace(task, effort=0.06)  # four steps of a network that is trained anew hold no picture
    if method.finetune is not None:
        task = task.with_params(method.finetune(task))
    coded = method.code(task)
    blob, quality = file_of(SIGNAL, task.field, [coded.plan])
    assert quality.db == pytest.approx(psnr(blob), abs=1e-9)
    assert 0 <= quality.db - codec.info(blob)["quality_db"] < 0.0101  # a file promises no more than it has
    tensors = decompress(blob)
    assert all(np.array_equal(tensors[key], w) for key, w in coded.plan.params.items())
    if method.training.weighted:  # the file holds the fitted integers themselves
        assert coded.plan.params.keys() == task.params.keys()
        return
    before = file_of(SIGNAL, task.field, [METHODS["coin-fp32"].code(task).plan])[1].db
    allowed = {"paper": 14.0, "own": 6.0}  # dB: no method may lose the picture
    assert quality.db > before - allowed[method.protocol]


#: (hidden layers, width): weights, parameters, and parameters with INRIC's encoding, counted by hand.
SIZES = {
    (2, 32): (2_208, 2_307, 4_355),
    (3, 32): (3_232, 3_363, 5_411),
    (3, 64): (12_608, 12_867, 16_963),
    (5, 64): (20_800, 21_187, 25_283),
    (7, 64): (28_992, 29_507, 33_603),
    (3, 96): (28_128, 28_515, 34_659),
    (3, 128): (49_792, 50_307, 58_499),
}


@pytest.mark.parametrize(("depth", "width"), SIZES)
def test_parameters_and_bytes_are_counted_as_published(depth: int, width: int) -> None:
    weights, count, encoded = SIZES[depth, width]
    field = MLP(2, 3, width, depth, Sine(30.0))
    params = field.init(np.random.default_rng(0))
    assert sum(w.size for name, w in params.items() if name.endswith("weight")) == weights
    assert field.num_params == count
    assert replace(field, encoding=inric.ENCODING).num_params == encoded
    assert inric.ENCODING.out_features(2) == 66
    task = Task(field, params, PART)
    assert METHODS["coin"].code(task).published_bytes == 2 * count
    assert METHODS["coin-fp32"].code(task).published_bytes == 4 * count


def test_sinr_sends_what_the_paper_counts() -> None:
    """Section 3.3.1: a 2s + l k 2s + b 2s numbers for the weights; 3.3.2: a tiny network is flattened."""
    field = MLP(2, 3, 64, 3)
    params = field.init(np.random.default_rng(0))
    coded = sinr.Published(k2=1024)(Task(field, params, PART))
    s = int(coded.figures["s"])
    assert s == 26
    biases = 4 * 64 + 3
    assert coded.figures["sent"] == 2 * s * (2 + 3 * 64 + 3) + biases
    tiny = MLP(2, 3, 32, 2)
    codings = sinr.Published(k2=1024)(Task(tiny, tiny.init(np.random.default_rng(0)), PART)).plan.codings
    assert all(c.layout.axis is None for c in codings.values() if isinstance(c, Sparse))


def test_inric_counts_the_entropy_its_table_and_the_steps() -> None:
    w = {"layers.0.weight": np.float32([[-1, 0], [0, 1]])}
    entropy = -(2 * np.log2(2 / 5) + 3 * np.log2(1 / 5))  # -1, 0, 0, 1 and an end
    table = 256 * 2 + 8
    assert inric.published_bytes(w, {"layers.0.weight": 1.0}, 8) == pytest.approx((entropy + table) / 8 + 8, abs=5)
    assert inric.published_bytes(w, {"layers.0.weight": 1.0}, 7) < inric.published_bytes(w, {"layers.0.weight": 1.0}, 8)


@pytest.mark.parametrize("bits", [7, 8])
def test_inric_stays_on_a_symmetric_grid(bits: int, tasks: dict[str, Task]) -> None:
    plan = inric.Inric(bits)(tasks["sine"]).plan
    for name, coding in plan.codings.items():
        assert isinstance(coding, Direct)
        assert coding.step is not None
        levels = plan.params[name] / coding.step
        assert np.allclose(levels, np.rint(levels), atol=1e-3)
        assert np.abs(levels).max() < 2 ** (bits - 1)


def test_learned_rounding_beats_the_nearest_level() -> None:
    """At few bits, where it matters, and with enough steps."""
    field = MLP(2, 3, 24, 1)
    task = Task(field, trained(field), PART, effort=0.5)
    steps = {name: inric.best_step(w, 5) for name, w in task.params.items()}
    error = task.error()
    nearest = {name: np.float32(np.rint(w / steps[name]) * steps[name]) for name, w in task.params.items()}
    rounded = inric.learn_rounding(task, steps, 5)
    assert decibels(error(rounded)) > decibels(error(nearest)) + 0.5
    # and a short retraining moves enough weights to another level to be worth it
    assert decibels(error(inric.retrain(task, rounded, steps, 5))) > decibels(error(rounded)) + 0.5


def test_refinement_gains_at_equal_bytes() -> None:
    field = MLP(2, 3, 24, 1)
    task = Task(field, trained(field), PART, effort=0.2)
    coded = METHODS["direct-refined-4"].code(task)
    assert coded.figures["refinement_db"] > 0.3
    assert coded.plan.bytes < 1.06 * coded.figures["unrefined_bytes"]


def test_a_learned_dictionary_is_part_of_the_file(tasks: dict[str, Task]) -> None:
    coded = METHODS["dictionary-64"].code(tasks["sine"])
    assert 0.2 * coded.plan.bytes < coded.figures["dictionary_bytes"] < coded.plan.bytes
    sizes = [METHODS[f"pca-{share}"].code(tasks["sine"]).plan for share in (50, 75, 90)]
    error = tasks["sine"].error()
    assert sizes[0].bytes < sizes[1].bytes < sizes[2].bytes
    assert error(sizes[0].params) > error(sizes[2].params)


def test_sparse_and_scalar_codes_at_the_same_quality(tasks: dict[str, Task]) -> None:
    task = replace(tasks["sine"], max_drop=0.1)
    error, base = task.error(), task.error()(task.params)
    published = METHODS["sinr"].code(task).plan
    for name, allowed in (("sinr-planned", 0.1), ("sinr-scalar", decibels(base) - decibels(error(published.params)))):
        plan = METHODS[name].code(task).plan
        assert decibels(base) - decibels(error(plan.params)) <= max(allowed, 0.1) + 1e-6
        assert plan.bytes < published.bytes
        assert isinstance(plan.codings["layers.1.weight"], Sparse if name == "sinr-planned" else Direct)


def test_the_hidden_layers_alone_keep_the_quality(tasks: dict[str, Task]) -> None:
    """The first and the last layer hold few weights and most of the loss."""
    task = tasks["sine"]
    error = task.error()
    coded = {name: METHODS[name].code(task).plan for name in ("minmax", "sinr", "sinr-hidden")}
    assert [type(coded["sinr-hidden"].codings[f"layers.{i}.weight"]) for i in range(3)] == [Direct, Sparse, Direct]
    assert all(isinstance(coded["sinr"].codings[f"layers.{i}.weight"], Sparse) for i in range(3))
    loss = {name: decibels(error(task.params)) - decibels(error(plan.params)) for name, plan in coded.items()}
    assert loss["sinr-hidden"] < 0.5 * loss["sinr"]
    assert coded["sinr-hidden"].bytes < coded["minmax"].bytes


def test_experiments_name_methods_that_there_are() -> None:
    named = {name for experiment in EXPERIMENTS.values() for name in experiment.methods}
    assert named <= set(METHODS)
    with pytest.raises(InputError, match=r"'Coim' is none; expected coin, .*`sinr methods` lists all"):
        method_named("Coim")
    with pytest.raises(InputError, match=r"'jpeg' is none; expected coin, inric, sinr, ... \("):
        method_named("jpeg")
    assert isinstance(METHODS["inric-pe"].training.encoding, Octaves)
