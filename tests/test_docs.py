"""The README and the guide: commands parse, examples run, and links, extras and make targets exist."""

import json
import re
import shlex
import tomllib
import webbrowser
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from sinr_codec import kinds, presets
from sinr_codec.cli.main import app
from sinr_codec.fields import MLP, Sine
from sinr_codec.signals import registry

ROOT = Path(__file__).parents[1]
DOCS = {str(path.relative_to(ROOT)): path for path in [ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md"))]}
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PARSER = typer.main.get_command(app)


def fenced(document: str, language: str) -> list[str]:
    return [code for name, code in FENCED.findall(DOCS[document].read_text()) if name == language]


def commands(document: str) -> list[str]:
    """Lines of a shell, which stand indented."""
    lines = FENCED.sub("", DOCS[document].read_text()).splitlines()
    return [line.strip() for line in lines if line.startswith("    ")]


def lines_of(program: str) -> list[tuple[str, str]]:
    return [(name, line) for name in DOCS for line in commands(name) if line.split()[0] == program]


def words(line: str) -> tuple[list[str], str | None]:
    """The arguments of a command, and the file that gets what it prints."""
    arguments = shlex.split(line, comments=True)[1:]
    return (arguments[:-2], arguments[-1]) if arguments[-2:-1] == [">"] else (arguments, None)


def parsed(line: str) -> Any:
    """The context of a verb under the options of a line; click raises where one does not exist or does not suit."""
    arguments, _ = words(line)
    with PARSER.make_context("sinr", list(arguments)) as context:
        _, verb, rest = PARSER.resolve_command(context, arguments)
        return verb.make_context(verb.name, rest, parent=context)


# -- what is written ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("document", "line"), lines_of("sinr"))
def test_a_command_parses(document: str, line: str) -> None:
    parsed(line)


def test_a_command_that_is_wrong_does_not_parse() -> None:
    for line in ("sinr encode", "sinr draw a.png", "sinr encode a.png --scale 2", "sinr decode a.sinr --size 3"):
        with pytest.raises(Exception, match=r"(?i)missing|no such|expected"):
            parsed(line)


def test_every_option_in_the_text_is_one_of_a_verb_or_a_program() -> None:
    params = [p for verb in PARSER.commands.values() for p in (*verb.params, *getattr(verb, "kind_params", list)())]
    known = {"--help", "--install-completion", *(option for p in params for option in (*p.opts, *p.secondary_opts))}
    known |= {
        f"--{name}"
        for path in (ROOT / "benchmarks").glob("*.py")
        for name in re.findall(r'"--([\w-]+)"', path.read_text())
    }
    for document, path in DOCS.items():
        text = re.sub(r"^    (?!sinr).*$", "", FENCED.sub("", path.read_text()), flags=re.MULTILINE)
        named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text))
        assert named <= known, document


def test_extras_and_make_targets_exist() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for document, path in DOCS.items():
        for names in re.findall(r"sinr-codec\[([\w,]+)\]", path.read_text()):
            assert set(names.split(",")) <= set(extras), document
    for document, line in lines_of("make"):
        assert line.split()[1] in targets, document


@pytest.mark.parametrize("document", DOCS)
def test_links_lead_somewhere(document: str) -> None:
    path = DOCS[document]
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads], target


@pytest.mark.parametrize("document", DOCS)
def test_files_of_the_project_that_are_named_exist(document: str) -> None:
    for name in re.findall(r"\b(?:benchmarks|examples|results|docs)/[\w./-]+\.\w+", DOCS[document].read_text()):
        assert (ROOT / name).exists(), name


# -- what runs -----------------------------------------------------------------------------------------------------


@pytest.fixture
def short_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every preset fits for some steps, and looks no further for a smaller file."""
    for name, preset in presets.PRESETS.items():
        short = replace(preset, fit={"steps": 10}, dictionaries=(), rounding=None, rated=False, refit=False)
        monkeypatch.setitem(presets.PRESETS, name, short)
    for kind in map(registry.kind_named, registry.KINDS):
        longer = {"radiance": {"steps": 100, "batch": 256}, "shape": {"steps": 60}}  # for a surface
        fit = kind.recipe.fit.get("", {}) | longer.get(kind.name, {})
        recipe = replace(kind.recipe, fit={"": fit}, width=kind.recipe.width and 16)
        monkeypatch.setattr(f"sinr_codec.signals.{kind.name}.KIND", replace(kind, recipe=recipe))


def photo(folder: Path) -> None:
    with Image.open(ROOT / "examples/coffee.png") as picture:
        picture.resize((60, 40)).save(folder / "photo.png")


def song(folder: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    seconds = np.arange(4 * 4000) / 4000
    soundfile.write(folder / "song.wav", 0.5 * np.sin(500 * seconds) * np.exp(-seconds), 4000)


def brain(folder: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    x, y, z = np.mgrid[-1:1:92j, -1:1:12j, -1:1:10j]
    samples = np.int16(1000 * np.exp(-3 * (x**2 + y**2 + z**2)))
    nibabel.save(nibabel.Nifti1Image(samples, np.diag([2.0, 2, 2, 1])), folder / "brain.nii.gz")


def era(folder: Path) -> None:
    xr = pytest.importorskip("xarray")
    pytest.importorskip("netCDF4")
    month, level = [1, 7], [200, 500, 850]
    latitude, longitude = np.linspace(90, -90, 19), np.arange(0, 360, 10.0)
    axes = np.meshgrid(month, level, np.radians(latitude), np.radians(longitude), indexing="ij")
    fields = {
        "z": axes[1] * 9.8 + 90 * np.cos(axes[2]),
        "u": 20 * np.cos(axes[2]) + axes[0],
        "v": 5 * np.sin(axes[3]) * np.cos(axes[2]),
    }
    dimensions = ("month", "level", "latitude", "longitude")
    dataset = xr.Dataset(
        {name: (dimensions, values.astype(np.float32), {"units": "m s-1"}) for name, values in fields.items()},
        {"month": month, "level": level, "latitude": latitude, "longitude": longitude},
    )
    dataset.to_netcdf(folder / "era.nc")


def clip(folder: Path) -> None:
    av = pytest.importorskip("av")
    t, y, x = np.mgrid[:12, :32, :48]
    with av.open(str(folder / "clip.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, width=48, height=32, pix_fmt="yuv420p")
        for frame in np.uint8(np.stack([4 * t + y, 3 * x + t, 255 - 4 * y], -1)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode())


def ball(folder: Path) -> dict[str, Any]:
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.creation.icosphere(2, 0.9)
    mesh.export(folder / "statue.ply")
    mesh.visual.vertex_colors = np.uint8(127 + 120 * mesh.vertices)
    mesh.export(folder / "painted.ply")
    return {"volume": np.linalg.norm(np.mgrid[-1:1:16j, -1:1:16j, -1:1:16j], axis=0) < 0.7}


def unnamed(folder: Path) -> None:
    (folder / "IMG.001").write_bytes((folder / "photo.png").read_bytes())


def siren(folder: Path) -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    state = MLP(2, 3, 16, 1, Sine(30.0)).init(np.random.default_rng(0))
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, folder / "siren.pth")
    return {"state_dict": state, "coords": np.zeros((5, 2))}


def modules(folder: Path) -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    linear, relu = torch.nn.Linear, torch.nn.ReLU
    model = torch.nn.Sequential(linear(63, 16), relu(), linear(16, 16), relu(), linear(16, 4))
    state = MLP(3, 4, 16, 1, Sine(30.0)).init(np.random.default_rng(0))
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, folder / "model.pth")
    return {"model": model, "torch": torch}


def lego(folder: Path) -> None:
    """Eight views of a red disc, which looks the same from every side: a scene, under two names."""
    y, x = np.mgrid[-1:1:10j, -1:1:10j]
    disc = np.uint8(255 * np.stack([np.ones_like(x), 0.3 + 0 * x, 0.1 + 0 * x, np.hypot(x, y) < 0.5], -1))
    frames = []
    for number, turn in enumerate(np.arange(8) * np.pi / 4):
        back = np.array([np.cos(turn), np.sin(turn), 0.0])
        right = np.array([-np.sin(turn), np.cos(turn), 0.0])
        pose = np.eye(4)
        pose[:3] = np.stack([right, [0, 0, 1], back, 3 * back], 1)
        frames.append({"file_path": f"./{number}.png", "transform_matrix": pose.tolist()})
    for scene in ("lego", "garden"):
        (folder / scene).mkdir()
        for frame in frames:
            Image.fromarray(disc).save(folder / scene / frame["file_path"])
        (folder / scene / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.7, "frames": frames}))
    (folder / "path.json").write_text(json.dumps({"frames": frames[:2]}))


def spectra(_: Path) -> dict[str, Any]:
    """The names of the package that the guide takes its pieces from."""
    sinr_spectra = pytest.importorskip("sinr_spectra", reason="make installs tests/packages/sinr-spectra")
    return vars(kinds) | vars(sinr_spectra)


PREPARED: dict[str, list[Callable[[Path], dict[str, Any] | None]]] = {
    "README.md": [photo, siren],
    "docs/guide/climate.md": [era],
    "docs/guide/files.md": [photo, unnamed],
    "docs/guide/kinds.md": [spectra],
    "docs/guide/networks.md": [siren, modules],
    "docs/guide/pictures.md": [photo],
    "docs/guide/scenes.md": [lego],
    "docs/guide/shapes.md": [ball],
    "docs/guide/sound.md": [song],
    "docs/guide/video.md": [clip],
    "docs/guide/viewer.md": [photo],
    "docs/guide/volumes.md": [brain],
}
"""What examples need. All Python is run, and commands whose input exists, but for encodings that name no output: those
vary the one before."""

SMALLER = {
    r"--size \d+\b(?!x)": "--size 2500",
    r"\bsize=\d\d_000": "size=2_500",
    r"100,50,300,200": "10,5,30,20",
    r"--scale 4": "--scale 2",
    r"0, 0, 64, 64": "0, 0, 20, 20",
    r"0, 48": "0, 10",
    r"--orbit 60": "--orbit 3",
    r"400x400": "20x20",
    r"(?=-o statue.sinr  )": "--resolution 16 ",
    r"resolution=(?:512|256)": "resolution=14",
    r"(variant=\"\w+\")": r"\1, resolution=14",
    r"--rate 96000": "--rate 8000",
    r"60:120,80:140,50:110": "60:80,2:10,1:9",
    r"90:91,0:233,0:189": "90:91,0:12,0:10",
    r"0:10,20:100,30:150": "0:10,2:20,3:30",
    r"1:2,0:3,0:241,0:480": "1:2,0:3,0:19,0:36",
    r"size=\((?:288, 352|200, 200)\)": "size=(20, 24)",
    r"\b1024, azimuth": "32, azimuth",
}
"""What is smaller than in the documents, whose signals are larger than those of the tests."""


@pytest.mark.parametrize("document", [name for name in DOCS if name in PREPARED or fenced(name, "python")])
@pytest.mark.usefixtures("short_fits")
def test_examples_run(document: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(webbrowser, "open", lambda _: True)  # nothing opens on the screen of who runs the tests
    names: dict[str, Any] = {"np": np}
    for prepare in PREPARED[document]:
        names |= prepare(tmp_path) or {}
    verbs = set()
    for line in commands(document):
        if runs(line):
            arguments, output = words(smaller(line))
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code in (0, 3), (line, result.output)  # so short a fit may be a poor one
            verbs.add(arguments[0])
            if output:
                (tmp_path / output).write_text(result.stdout)
    assert not commands(document) or verbs >= {"encode", "decode"} or verbs >= {"compress", "decompress"}
    for code in fenced(document, "python"):
        exec(compile(smaller(code), document, "exec"), names)


def runs(line: str) -> bool:
    """Whether a command can be run here, and gives something that others need."""
    if not line.startswith("sinr") or "cuda" in line:
        return False
    context = parsed(line)
    given = context.params
    read = [given[name] for name in ("source", "model", "base", "against", "pose", "describe") if given.get(name)]
    variant = context.command.name == "encode" and given["out"] is None
    return bool(read) and not variant and all(Path(name).exists() for name in read)


def smaller(text: str) -> str:
    for long, short in SMALLER.items():
        text = re.sub(long, short, text)
    return text
