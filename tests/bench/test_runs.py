"""Runs: every point once, shared networks, resumed at any kill to the same table."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from sinr_codec import codec
from sinr_codec.bases import read_base
from sinr_codec.bench import runs, studies, weights
from sinr_codec.bench.crops import write_crops
from sinr_codec.bench.experiments import EXPERIMENTS, Configuration, Experiment, items_of, parse_numbers, parse_scale
from sinr_codec.bench.fits import Fits
from sinr_codec.bench.report import read_points, report, summarise
from sinr_codec.bench.runs import Settings
from sinr_codec.errors import InputError
from sinr_codec.methods import METHODS, inric
from sinr_codec.progress import NullProgress

METHODS_RUN = ("coin", "minmax", "direct")
SMALL = Experiment("c1", "small", (Configuration(1, 8), Configuration(1, 12)), METHODS_RUN, {"steps": 20})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures, and a file that is none."""
    folder = tmp_path_factory.mktemp("pictures")
    y, x = np.mgrid[:32, :48] / 48
    for number in (1, 2, 3):
        planes = [np.sin(4 * number * x) * y, np.cos(5 * (x + y)), np.sin(3 * number * y)]
        Image.fromarray(np.uint8(127 + 120 * np.stack(planes, -1))).save(folder / f"kodim0{number}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def settings(data: Path, out: Path, **more: object) -> Settings:
    return replace(Settings(data, out, steps=20, effort=0.01), **more)


def tables(out: Path) -> dict[str, bytes]:
    """Everything of a report that says nothing about time."""
    report(out)
    return {p.name: p.read_bytes() for p in sorted((out / "report").glob("*")) if p.suffix in (".md", ".png")}


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two pictures, for tests that only read it."""
    out = tmp_path_factory.mktemp("whole") / "run"
    runs.run(SMALL, settings(data, out, numbers=range(1, 3)))
    return out


def test_points_say_what_is_on_disk(data: Path, whole: Path) -> None:
    files = sorted(whole.glob("points/c1/kodim02/*/*.json"))
    assert len(files) == 6
    for path in files:
        point = json.loads(path.read_text())
        file = whole / point["file"]
        assert point["bytes"] == file.stat().st_size
        assert point["bpp"] == 8 * point["bytes"] / (32 * 48) == 8 * point["bytes"] / point["samples"]
        error = codec.decode(file).astype(float) - np.asarray(Image.open(data / "kodim02.png"))
        assert point["db"] == pytest.approx(-10 * np.log10(np.mean(error**2) / 255**2), abs=1e-9)
        width = int(point["configuration"].removeprefix("1x"))
        assert point["params"] == 2 * width + width * width + 3 * width + 2 * width + 3
        assert point["signal"] == "kodim02"
        assert point["steps"] == 20
    assert len(list((whole / "fits").glob("*.safetensors"))) == 2 * 2  # a network for all methods


def test_stopped_and_resumed_gives_the_same_tables(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = tmp_path / "parts"
    calls = []
    write = runs._write_point

    def interrupted(*arguments: object) -> None:
        calls.append(arguments)
        if len(calls) == 5:
            raise KeyboardInterrupt
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runs, "_write_point", interrupted)
    with pytest.raises(KeyboardInterrupt):
        runs.run(SMALL, settings(data, parts, numbers=range(1, 3)))
    monkeypatch.undo()
    before = {p: p.stat().st_mtime_ns for p in (parts / "points").rglob("*.json")}
    assert len(before) == 4
    runs.run(SMALL, settings(data, parts, numbers=range(1, 3)), resume=True)
    assert all(p.stat().st_mtime_ns == at for p, at in before.items())
    assert tables(whole) == tables(parts)
    # results say every command that made them
    about = json.loads((parts / "run.json").read_text())["experiments"]["c1"]
    assert [sorted(entry) for entry in about["resumed"]] == [["command", "commit", "date"]]


def test_networks_trained_for_a_rate_are_shared_by_their_methods(data: Path, tmp_path: Path) -> None:
    latents = replace(EXPERIMENTS["shacira"], configurations=(Configuration(rate=4.0), Configuration(rate=6.0)))
    one = settings(data, tmp_path, numbers=range(1, 2), methods=latents.methods, configurations=("4bpp",), steps=60)
    runs.run(latents, one)
    assert len(list((tmp_path / "fits").glob("*.safetensors"))) == 1
    two = replace(one, methods=("shacira", "shacira-minmax"), configurations=("6bpp",))
    files = runs.run(latents, two, resume=True)
    points = {(p["configuration"], p["method"]): p for p in (json.loads(path.read_text()) for path in files)}
    assert len(points) == len(latents.methods) + 2
    assert len(list((tmp_path / "fits").glob("*.safetensors"))) == 2
    for rate in ("4bpp", "6bpp"):
        point = points[rate, "shacira"]
        assert point["bpp"] <= float(rate.removesuffix("bpp"))
        assert point["bytes"] > point["figures"]["latent_bytes"] + point["figures"]["network_bytes"] > 0
        assert points[rate, "shacira-minmax"]["db"] == pytest.approx(point["fit_db"], abs=0.02)
    with pytest.raises(InputError, match="layers and neurons"):
        runs.run(replace(latents, name="other"), settings(data, tmp_path, methods=("coin",)))


def test_several_processes_give_the_same_tables(data: Path, whole: Path, tmp_path: Path) -> None:
    runs.run(SMALL, settings(data, tmp_path, numbers=range(1, 3), jobs=2))
    assert tables(whole) == tables(tmp_path)


def test_shapes_have_files_a_bound_without_loss_and_weights(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    data, out = tmp_path / "data", tmp_path / "out"
    (data / "mesh").mkdir(parents=True)
    trimesh.creation.icosphere(3).export(data / "mesh" / "bunny_hr_odedstein.obj")
    small = replace(EXPERIMENTS["occupancy"], configurations=(Configuration(1, 12),), methods=METHODS_RUN)
    shapes = settings(data, out, scale=Fraction(1, 16), steps=200)
    runs.run(small, shapes)
    points = {point["method"]: point for point in read_points(out)["occupancy"]}
    assert set(points) == {*METHODS_RUN, "lossless"}
    iou = {method: point["figures"]["iou"] for method, point in points.items()}
    assert iou["minmax"] > 0.5
    assert iou["direct"] > iou["minmax"] - 0.05
    assert points["direct"]["bytes"] < points["minmax"]["bytes"]
    weights.run(shapes, progress=NullProgress())
    (file,) = (out / "points" / "weights").rglob("*.json")
    assert len(json.loads(file.read_text())["matrices"]) == 5


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_killed_and_resumed(data: Path, tmp_path: Path) -> None:
    """The command itself, killed without warning."""
    out = tmp_path / "killed"
    program = Path(sys.executable).with_name("sinr")
    command = [str(program), "bench", "c1", "--data", str(data), "--images", "1", "--steps", "20"]
    command += ["--methods", "coin,minmax", "--configurations", "2x32", "--quiet", "--out"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([*command, str(out)], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(out.glob("points/c1/*/*/*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (out / "run.json").exists()
    subprocess.run([*command, str(out), "--resume"], env=environment, check=True, stdout=subprocess.DEVNULL)
    experiment = replace(EXPERIMENTS["c1"], configurations=(Configuration(2, 32),))
    here = settings(data, tmp_path / "whole", numbers=range(1, 2), methods=("coin", "minmax"), effort=0.3)
    runs.run(experiment, here)
    assert tables(out) == tables(tmp_path / "whole")


def test_classical_codecs_are_searched_for_the_best_in_so_many_bytes(data: Path, tmp_path: Path) -> None:
    experiment = replace(SMALL, configurations=(Configuration(1, 8),), methods=("coin",), classical=(4.0, 8.0))
    runs.run(experiment, settings(data, tmp_path, numbers=range(1, 2)))
    points = [p for p in read_points(tmp_path)["c1"] if p["protocol"] == "classical"]
    assert {p["method"] for p in points} == {"jpeg", "jpeg2000", "webp", "avif", "jxl"}
    for point in points:
        assert point["bpp"] <= float(point["configuration"].removesuffix("bpp"))
        assert point["bytes"] == (tmp_path / point["file"]).stat().st_size
        if point["method"] in ("jpeg", "webp"):
            error = np.asarray(Image.open(tmp_path / point["file"]).convert("RGB")).astype(float)
            error -= np.asarray(Image.open(data / "kodim01.png"))
            assert point["db"] == pytest.approx(-10 * np.log10(np.mean(error**2) / 255**2), abs=1e-6)
    by_rate = {(p["method"], p["configuration"]): p["db"] for p in points}
    assert all(by_rate[name, "8bpp"] >= by_rate[name, "4bpp"] for name, _ in by_rate)


def test_networks_fitted_in_a_batch_are_found_again(data: Path, tmp_path: Path) -> None:
    runs.run(SMALL, settings(data, tmp_path, together=4))
    points = read_points(tmp_path)["c1"]
    assert len(points) == 3 * 2 * 3
    assert all(point["fit_db"] > 5 for point in points)
    assert len(list((tmp_path / "fits").glob("*"))) == 6


def test_runs_that_do_not_fit_are_refused(data: Path, tmp_path: Path) -> None:
    one = settings(data, tmp_path / "run", numbers=range(1, 2), methods=("coin",))
    runs.run(SMALL, one)
    for wrong, message, resume in (
        (one, "--resume", False),
        (replace(one, steps=30), "was begun with", True),
        (replace(one, scale=Fraction(1, 2)), "was begun with", True),
        (replace(one, out=data), "--out", False),
        (replace(one, out=tmp_path / "a", data=tmp_path / "nothing"), "--data", False),
        (replace(one, out=tmp_path / "b", methods=("jpeg",)), "expected some of", False),
        (replace(one, out=tmp_path / "b", methods=("sinr-hiden",)), "expected some of .*sinr-hidden", False),
        (replace(one, out=tmp_path / "b", methods=()), "expected names with commas", False),
        (replace(one, out=tmp_path / "c", configurations=("9x9",)), "expected some of", False),
        (replace(one, out=tmp_path / "d", numbers=range(1, 5)), "has 3 of", False),
        (replace(one, out=tmp_path / "d", numbers=range(9, 10)), "has 3 of", False),
    ):
        with pytest.raises(InputError, match=message):
            runs.run(SMALL, wrong, resume=resume)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected .*thai"):
        items_of(EXPERIMENTS["occupancy"], tmp_path / "empty", None)
    with pytest.raises(InputError, match="holds no run"):
        studies.study("report", one_out(one, tmp_path / "none"), progress=NullProgress())
    with pytest.raises(InputError, match="expected one of c1"):
        studies.study("c9", one, progress=NullProgress())


def test_methods_with_an_encoding_are_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh" / "lucy_100k.ply").touch()
    one = settings(tmp_path, tmp_path / "run", methods=("inric-pe",))
    with pytest.raises(InputError, match="inric-pe is of pictures"):
        runs.run(EXPERIMENTS["occupancy"], one)


def test_a_run_that_failed_before_its_first_point_begins_anew(data: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    shutil.copytree(data, pictures)
    whole = (pictures / "kodim02.png").read_bytes()
    (pictures / "kodim02.png").write_bytes(whole[:200])
    one = settings(pictures, tmp_path / "run", methods=("coin",), configurations=("1x8",))
    with pytest.raises(InputError, match="kodim02"):
        runs.run(SMALL, one)
    (pictures / "kodim02.png").write_bytes(whole)
    assert len(runs.run(SMALL, replace(one, steps=10))) == 3


def test_crops_have_the_original_first(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert np.array_equal(Image.open(runs.original_file(whole, "c1", "kodim01")), Image.open(data / "kodim01.png"))
    captions: list[str] = []
    monkeypatch.setattr("matplotlib.axes.Axes.set_title", lambda self, text, **more: captions.append(text))
    points = [point for point in read_points(whole)["c1"] if point["signal"] == "kodim01"]
    write_crops(whole, points, tmp_path / "crops.png")
    assert captions[0] == "original"
    assert len(captions) == 1 + len(METHODS_RUN)


def one_out(one: Settings, out: Path) -> Settings:
    return replace(one, out=out)


def test_a_damaged_point_is_named(data: Path, tmp_path: Path) -> None:
    paths = runs.run(SMALL, settings(data, tmp_path, numbers=range(1, 2), methods=("coin",)))
    paths[0].write_text('{"experiment": ')
    with pytest.raises(InputError, match=paths[0].name):
        report(tmp_path)


def test_damaged_fits_are_made_again(data: Path, tmp_path: Path) -> None:
    one = settings(data, tmp_path, numbers=range(1, 2), methods=("coin",))
    paths = runs.run(SMALL, one)
    before = [json.loads(path.read_text())["bytes"] for path in paths]
    for path in (*paths, *tmp_path.glob("coded/*/*")):
        path.unlink()
    for fit in (tmp_path / "fits").glob("*"):
        fit.write_bytes(fit.read_bytes()[:100])
    assert [json.loads(path.read_text())["bytes"] for path in runs.run(SMALL, one, resume=True)] == before


def test_scale_and_numbers(data: Path, tmp_path: Path) -> None:
    assert [item.name for item in items_of(SMALL, data, parse_numbers("2-3"))] == ["kodim02", "kodim03"]
    half = settings(data, tmp_path, numbers=range(1, 2), scale=parse_scale("1/2"), methods=("coin",))
    (point,) = {json.loads(p.read_text())["samples"] for p in runs.run(SMALL, half)}
    assert point == 16 * 24
    for text in ("0-2", "3-1", "a", "", "1-"):
        if text != "1-":
            with pytest.raises(InputError, match="images"):
                parse_numbers(text)
    for text in ("0", "2", "1/0", "x", "-1"):
        with pytest.raises(InputError, match="scale"):
            parse_scale(text)


def test_fits_go_on_from_a_checkpoint_of_their_own(data: Path, tmp_path: Path) -> None:
    """A fit that is interrupted raises, and is not taken for a trained network."""
    loaded = runs.load_item(items_of(SMALL, data, range(1, 2))[0], settings(data, tmp_path))
    unit = next(runs.units_of(SMALL, settings(data, tmp_path)))
    task, fit = runs.network_of(loaded, unit, settings(data, tmp_path), METHODS["coin"].training)

    def stop(step: int, _total: int, _loss: float) -> None:
        if step >= 5:
            raise KeyboardInterrupt

    fits = Fits(tmp_path / "fits")
    with pytest.raises(KeyboardInterrupt):
        fits.get(loaded.key, task.part, task.field, fit, progress=stop)
    assert not list((tmp_path / "fits").glob("*.safetensors"))
    fitted = fits.get(loaded.key, task.part, task.field, fit)
    again = fits.get(loaded.key, task.part, task.field, fit)
    assert again.loss == fitted.loss
    assert all(np.array_equal(again.params[name], w) for name, w in fitted.params.items())


def test_means_are_over_the_signals_that_all_methods_have(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "points", tmp_path / "points")
    next((tmp_path / "points/c1/kodim02/1x8").glob("minmax.json")).unlink()
    rows = {(row.method, row.configuration): row for row in summarise(read_points(tmp_path)["c1"])}
    assert {rows[name, "1x8"].signals for name in METHODS_RUN} == {1}
    assert {rows[name, "1x12"].signals for name in METHODS_RUN} == {2}
    assert rows["minmax", "1x12"].ratio == 1


# -- experiments that begin from bases -------------------------------------------------------------------------

C5 = Experiment(
    "c5",
    "small",
    (
        Configuration(latents=4, patch=(16, 16)),
        Configuration(latents=3, patch=(16, 16), start="d4"),
        Configuration(latents=4, patch=(16, 16), start="d4", learning={"steps": 0, "levels": 8}, suffix="-few"),
    ),
    ("coinpp", "coinpp-direct", "coinpp-sinr"),
    {"steps": 2},
    learning={"steps": 3, "tasks": 2, "width": 8, "depth": 1},
)


def test_rates_that_do_not_hold_the_network_are_left_out(data: Path, tmp_path: Path) -> None:
    latents = replace(EXPERIMENTS["shacira"], configurations=(Configuration(rate=0.1), Configuration(rate=4.0)))
    wanted = settings(data, tmp_path, numbers=range(1, 2), methods=("shacira",), steps=20)
    lines: list[str] = []
    told = SimpleNamespace(start=lambda label, total: lines.append(label), update=lambda done, text="": None)
    points = [json.loads(path.read_text()) for path in runs.run(latents, wanted, progress=told)]
    assert [point["configuration"] for point in points] == ["4bpp"]
    assert "kodim01 0.1bpp is left out: 0.1 bits a sample do not hold its network" in lines


def test_bases_are_learned_from_pictures_that_are_not_tested(data: Path, tmp_path: Path) -> None:
    files = runs.run(C5, replace(settings(data, tmp_path), steps=None))
    points = [json.loads(path.read_text()) for path in files]
    assert {point["signal"] for point in points} == {"kodim02", "kodim03"}  # of three, the first is learned from
    assert {path.name for path in (tmp_path / "bases").glob("*.sinr")} == {
        "coinpp-d4.sinr",
        "coinpp-d3.sinr",
        "coinpp-d4-few.sinr",
    }
    for point in points:
        base = read_base(tmp_path / "bases" / f"coinpp-{point['configuration']}.sinr")
        assert (point["base"], point["receiver_bytes"]) == (base.digest.hex(), base.receiver_bytes)
        picture = np.asarray(Image.open(data / f"{point['signal']}.png"))
        error = codec.decode(tmp_path / point["file"], base=base).astype(float) - picture
        assert point["db"] == pytest.approx(-10 * np.log10(np.mean(error**2) / 255**2), abs=1e-9)
    report(tmp_path)
    page = (tmp_path / "report" / "c5.md").read_text()
    row = next(line for line in page.split("What a receiver must hold")[1].splitlines() if "| COIN++ | d4 |" in line)
    held, size, alone, *shared, cold = [float(cell.replace(",", "")) for cell in row.strip("| ").split(" | ")[2:]]
    assert alone == pytest.approx(8 * size / (32 * 48), abs=6e-3)
    assert cold == pytest.approx(8 * (size + held) / (32 * 48), abs=6e-3)
    assert shared == sorted(shared, reverse=True)
    assert cold > shared[0]


def test_given_bases_are_checked_and_kept(data: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    once = replace(settings(data, first, configurations=("d4",), numbers=range(2, 3)), steps=None)
    runs.run(C5, once)
    again = replace(once, out=second, bases=first / "bases")
    points = [json.loads(path.read_text()) for path in runs.run(C5, again)]
    assert (second / "bases/coinpp-d4.sinr").read_bytes() == (first / "bases/coinpp-d4.sinr").read_bytes()
    assert len(points) == 3
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    shutil.copy(first / "bases/coinpp-d4.sinr", wrong / "coinpp-d3.sinr")
    with pytest.raises(InputError, match=r"coinpp-d3.sinr: is a base of .*, expected one for d3"):
        runs.run(C5, replace(once, out=tmp_path / "third", bases=wrong, configurations=("d3",)))


def test_differences_of_networks_begin_from_their_base(data: Path, tmp_path: Path) -> None:
    c3 = replace(EXPERIMENTS["c3"], configurations=(Configuration(1, 8),), learning={"steps": 2, "tasks": 2})
    methods = ("minmax", "inric-meta", "inric-meta-minmax", "inric-meta-sinr-hidden")
    points = [json.loads(p.read_text()) for p in runs.run(c3, settings(data, tmp_path, methods=methods))]
    assert {point["steps"] for point in points if point["method"] == "minmax"} == {20}
    assert {point["steps"] for point in points if point["method"] == "inric-meta"} == {20 // inric.FEWER_STEPS}
    assert all(("base" in point) == point["method"].startswith("inric-meta") for point in points)
    assert report(tmp_path)
