"""The verbs from outside: what they print, what they write, and how they end."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sinr_codec import codec, inspecting
from sinr_codec.cli.main import app
from sinr_codec.coding.tensor import Raw, encode_tensor
from sinr_codec.container import FIELD, Header, write
from sinr_codec.fields import MLP
from sinr_codec.signals.image import ImageSpec

VERBS = ["encode", "decode", "compress", "decompress", "info", "verify", "learn", "bench", "batch"]


def sinr(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def fails(result, *words):
    """Exit code 1, one line on stderr that holds the words, nothing on stdout."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("sinr: error: ")
    assert "Traceback" not in result.stderr
    for word in words:
        assert str(word) in last
    return last


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.linear_gradient("L").resize((24, 16)).save(path)
    return path


@pytest.fixture
def coded(tmp_path):
    """A file of random waves, 16 x 24 RGB, that is not fitted to anything."""
    field, spec = MLP(2, 3, 12, 1), ImageSpec(16, 24, 3, "uint8", "RGB")
    section = b"".join(encode_tensor(a, Raw()) for a in field.init(np.random.default_rng(0)).values())
    path = tmp_path / "waves.sinr"
    path.write_bytes(write(Header(FIELD, field.to_header(), spec.to_header()), [section]))
    return path


@pytest.fixture
def network(tmp_path):
    field = MLP(2, 1, 12, 1)
    path = tmp_path / "siren.npz"
    np.savez(path, **field.init(np.random.default_rng(0)))
    return path


# -- help and usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(verb):
    result = sinr(verb, "--help")
    assert result.exit_code == 0
    assert f"Example:\n    sinr {verb} " in result.stdout


def test_general_help_and_version():
    assert all(verb in sinr("--help").stdout for verb in VERBS)
    assert sinr("--version").stdout.startswith("sinr ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["encode"],
        ["encode", "a.png", "--preset", "huge"],
        ["encode", "a.png", "--bpp", "1", "--size", "100"],
        ["encode", "a.png", "--bpp", "1", "--psnr", "30"],
        ["encode", "a.png", "--bpp", "much"],
        ["encode", "a.png", "--activation", "tanh"],
        ["encode", "a.png", "--activation", "sine:fast"],
        ["encode", "a.png", "--activation", "sine:-3"],
        ["encode", "a.png", "--seed", "-1"],
        ["decode", "a.sinr", "--size", "100"],
        ["decode", "a.sinr", "--size", "0x5"],
        ["decode", "a.sinr", "--size", "5x5", "--scale", "2"],
        ["decode", "a.sinr", "--region", "1,2,3"],
        ["decode", "a.sinr", "--region", "a,b,c,d"],
        ["compress", "a.pth", "--fidelity", "46", "--signal", "a.png"],
        ["compress", "a.pth", "--max-drop", "1"],
        ["decompress", "a.sinr"],
        ["info"],
        ["verify", "a.sinr", "--wrong"],
        ["batch", "a.png"],
        ["batch", "--out", "b"],
        ["batch", "a.png", "--out", "b", "--bpp", "1", "--size", "100"],
        ["batch", "a.png", "--out", "b", "--jobs", "0"],
        ["batch", "a.png", "--out", "b", "--jobs", "2", "--scheduler", "tcp://localhost:8786"],
    ],
)
def test_wrong_usage_is_2(arguments):
    result = sinr(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


# -- inputs and outputs that cannot be -----------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["encode", "decode", "compress", "info", "verify"])
def test_missing_input(tmp_path, verb):
    fails(sinr(verb, tmp_path / "missing.npz"), "missing.npz")
    assert names(tmp_path) == []


@pytest.mark.parametrize("verb", ["decode", "info", "verify", "decompress"])
def test_foreign_and_damaged_files(tmp_path, photo, coded, verb):
    rest = ["-o", tmp_path / "out.npz"] if verb == "decompress" else []
    fails(sinr(verb, photo, *rest), "photo.png", "not a .sinr file")
    data = bytearray(coded.read_bytes())
    (tmp_path / "cut.sinr").write_bytes(data[:-5])
    data[-9] ^= 16
    (tmp_path / "bit.sinr").write_bytes(data)
    fails(sinr(verb, tmp_path / "cut.sinr", *rest), "cut.sinr")
    fails(sinr(verb, tmp_path / "bit.sinr", *rest), "bit.sinr", "checksum")
    assert names(tmp_path) == ["bit.sinr", "cut.sinr", "photo.png", "waves.sinr"]


def outputs(tmp_path, photo, coded, network, out):
    return [
        ["encode", photo, "--seconds", "1", "-o", out],
        ["decode", coded, "-o", out],
        ["compress", network, "-o", out],
        ["decompress", coded, "-o", out],
    ]


def test_output_that_cannot_be(tmp_path, photo, coded, network):
    before = names(tmp_path)
    for arguments in outputs(tmp_path, photo, coded, network, tmp_path / "none" / "out.npz"):
        fails(sinr(*arguments), "folder", "does not exist")
    for arguments in outputs(tmp_path, photo, coded, network, tmp_path):
        fails(sinr(*arguments), "is a folder")
    for arguments in outputs(tmp_path, photo, coded, network, ""):
        source = arguments[1]
        data = source.read_bytes()
        arguments[-1] = source
        fails(sinr(*arguments), "is the input itself")
        assert source.read_bytes() == data
    assert names(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_output_without_permission(tmp_path, photo, coded, network):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for arguments in outputs(tmp_path, photo, coded, network, closed / "out.npz"):
        fails(sinr(*arguments), "cannot be written")


def test_out_of_memory_and_system_errors_are_one_line(monkeypatch, coded):
    class OutOfMemoryError(RuntimeError):
        pass

    for error, word in (
        (MemoryError(), "not enough memory"),
        (OutOfMemoryError("CUDA\nout of memory"), "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "not enough memory"),
        (OSError(28, "No space left on device", "there.sinr"), "there.sinr: No space left on device"),
    ):
        monkeypatch.setattr(inspecting, "info", raises(error))
        fails(sinr("info", coded), word)
    monkeypatch.setattr(inspecting, "info", raises(RuntimeError("a bug")))
    assert isinstance(sinr("info", coded).exception, RuntimeError)


def raises(error):
    def function(*_, **__):
        raise error

    return function


def test_interrupt_without_a_result(monkeypatch, coded):
    monkeypatch.setattr(inspecting, "info", raises(KeyboardInterrupt()))
    result = sinr("info", coded)
    assert result.exit_code == 130
    assert result.stderr == "sinr: error: interrupted; nothing was written\n"


# -- the verbs ---------------------------------------------------------------------------------------------


def test_decode(tmp_path, coded):
    result = sinr("decode", coded)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "waves.sinr.png")), codec.decode(coded))
    assert sinr("decode", coded, "-o", tmp_path / "b.png", "--scale", "2").exit_code == 0
    assert Image.open(tmp_path / "b.png").size == (48, 32)
    assert sinr("decode", coded, "-o", tmp_path / "c.tif", "--size", "10x30").exit_code == 0
    assert Image.open(tmp_path / "c.tif").size == (30, 10)
    result = sinr("decode", coded, "-o", tmp_path / "d.npy", "--region", "2,3,12,9", "--json")
    assert json.loads(result.stdout) == {"path": str(tmp_path / "d.npy"), "kind": "image", "shape": [6, 10, 3]}
    np.testing.assert_allclose(np.load(tmp_path / "d.npy"), codec.decode(coded)[3:9, 2:12], atol=1)


def test_from_a_base(tmp_path, photo, monkeypatch):
    pytest.importorskip("torch")
    from sinr_codec import learning

    monkeypatch.setattr(learning, "_CALIBRATION", 64)
    folder, base, file = tmp_path / "photos", tmp_path / "base.sinr", tmp_path / "a.sinr"
    folder.mkdir()
    for angle in (0, 90, 180):
        Image.open(photo).rotate(angle).save(folder / f"{angle}.png")
    shape = ["--width", "8", "--depth", "1", "--latents", "4", "--patch", "8x8"]
    budget = ["--steps", "4", "--tasks", "4", "--evaluate-every", "2", "--log", tmp_path / "log"]
    result = sinr("learn", folder, "-o", base, *shape, *budget, "--held-out", photo, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["signals"], report["steps"], report["bytes"]) == (3, 4, base.stat().st_size)
    assert [json.loads(line)["step"] for line in (tmp_path / "log").read_text().splitlines()] == [2, 4]
    result = sinr("encode", photo, "-o", file, "--method", "coinpp", "--base", base)
    assert result.exit_code == 0, result.output
    assert sinr("verify", file, "--against", photo, "--base", base).exit_code == 0
    assert report["digest"] in sinr("info", file).stdout
    assert "levels 63" in sinr("info", file, "--base", base).stdout
    assert report["digest"] in sinr("info", base).stdout
    assert sinr("decode", file, "-o", tmp_path / "b.png", "--scale", "2", "--base", base).exit_code == 0
    assert Image.open(tmp_path / "b.png").size == (48, 32)
    fails(sinr("decode", file, "-o", tmp_path / "c.png"), file, f"needs the base {report['digest']}")
    fails(sinr("encode", photo, "--method", "coinpp"), "expected a base")
    assert sinr("learn", folder, "-o", base, "--patch", "8x").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--region", "0,0,25,5"], "region"),
        (["--scale", "1e6"], "limit"),
        (["--scale", "-2"], "scale"),
        (["-o", "x.abc"], "x.abc"),
    ],
)
def test_decode_refuses(coded, arguments, word, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    fails(sinr("decode", coded, *arguments), word)
    assert names(tmp_path) == ["waves.sinr"]


def test_decode_overwrites(tmp_path, coded):
    out = tmp_path / "old.png"
    out.write_text("old")
    assert sinr("decode", coded, "-o", out).exit_code == 0
    assert Image.open(out).size == (24, 16)


def test_info(coded):
    result = sinr("info", coded)
    assert result.exit_code == 0
    assert "image 16 x 24 x 3 uint8" in result.stdout
    assert "layers.1.weight" in result.stdout
    answer = json.loads(sinr("info", coded, "--json").stdout)
    assert answer["bytes"] == coded.stat().st_size
    assert answer["bytes"] == answer["header_bytes"] + sum(tensor["bytes"] for tensor in answer["tensors"])


def test_info_of_many_networks_is_a_line_a_tensor():
    file = Path(__file__).parents[1] / "conformance/blocks.sinr"
    lines = [line for line in sinr("info", file).stdout.splitlines() if "layers." in line]
    answer = json.loads(sinr("info", file, "--json").stdout)
    assert len(lines) == 6
    assert len(answer["tensors"]) == 6 * answer["networks"] == 36
    sizes = [tensor["bytes"] for tensor in answer["tensors"] if tensor["name"].endswith("layers.1.weight")]
    assert f"{sum(sizes)} bytes  a network {min(sizes)} to {max(sizes)} bytes, transform direct" in lines[2]


def test_decompress_and_compress(tmp_path, network):
    out, back = tmp_path / "siren.sinr", tmp_path / "back.npz"
    result = sinr("compress", network, "--preset", "paper", "--activation", "sine", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["bytes"] == out.stat().st_size
    assert report["fidelity"] > 10
    assert "blob" not in report
    assert sinr("verify", out, "--against", network).exit_code == 0
    assert sinr("decompress", out, "-o", back).exit_code == 0
    old, new = np.load(network), np.load(back)
    assert old.files == new.files
    assert all(old[name].shape == new[name].shape and old[name].dtype == new[name].dtype for name in old.files)
    fails(sinr("decompress", out, "-o", tmp_path / "x.foo"), "x.foo")
    fails(sinr("decode", out), "network", "decompress")


def test_compress_by_a_description(tmp_path, network):
    result = sinr("compress", network, "--write-description", "--activation", "sine")
    assert result.exit_code == 0
    assert "[[network]]" in result.stdout
    assert names(tmp_path) == [network.name]
    described = tmp_path / "net.toml"
    described.write_text(result.stdout)
    result = sinr("compress", network, "--describe", described, "--preset", "fast", "--quiet")
    assert result.exit_code == 0, result.output
    assert "fidelity" in result.stdout
    described.write_text("[[network]]\nactivation = 3")
    fails(sinr("compress", network, "--describe", described), "net.toml", "network 1", "activation")
    assert sinr("compress", network, "--describe", described, "--activation", "sine").exit_code == 2


def test_encode_and_verify(tmp_path, photo):
    pytest.importorskip("torch")
    untouched = photo.read_bytes()
    out = tmp_path / "photo.sinr"
    result = sinr("encode", photo, "--preset", "fast", "--width", "8", "--depth", "1")
    assert result.exit_code == 0, result.output
    assert f"{out.stat().st_size:,} bytes" in result.stdout
    assert "fast, image, sine 1x8" in result.stdout
    assert "fit ..." in result.stderr
    assert photo.read_bytes() == untouched
    assert names(tmp_path) == ["photo.png", "photo.sinr"]
    assert "ok" in sinr("verify", out, "--against", photo).stdout
    other = tmp_path / "other.png"
    Image.effect_noise((24, 16), 90).save(other)
    result = sinr("verify", out, "--against", other)
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert json.loads(sinr("verify", out, "--against", other, "--json").stdout)["ok"] is False


def test_encode_json_and_quiet(tmp_path, photo):
    pytest.importorskip("torch")
    arguments = ["--width", "8", "--depth", "1", "--size", "5000", "--json", "-q"]
    result = sinr("encode", photo, "--preset", "fast", *arguments)
    report = json.loads(result.stdout)
    assert report["target"] == "5,000 bytes"
    assert report["target_met"] is True
    assert report["path"] == str(tmp_path / "photo.sinr")
    assert result.stderr == ""


@pytest.mark.parametrize("damage", ["text", "cut", "empty"])
def test_encode_refuses_what_is_no_picture(tmp_path, photo, damage):
    pictures = {"text": b"hello", "cut": photo.read_bytes()[:60], "empty": b""}
    bad = tmp_path / "bad.png"
    bad.write_bytes(pictures[damage])
    fails(sinr("encode", bad), "bad.png")
    assert names(tmp_path) == ["bad.png", "photo.png"]


# -- as a process ------------------------------------------------------------------------------------------


def test_info_starts_light(coded):
    """No slow library on the way to an answer; timings are too noisy to test."""
    code = "import sys; from sinr_codec.cli.main import app; app(['info', sys.argv[1]], standalone_mode=False); "
    code += "print([m for m in ('torch', 'rich', 'scipy', 'matplotlib', 'threadpoolctl') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code, str(coded)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_ctrl_c_keeps_what_was_fitted(tmp_path):
    pytest.importorskip("torch")
    Image.linear_gradient("L").save(tmp_path / "a.png")
    code = "from sinr_codec.cli.main import main; main()"
    command = [sys.executable, "-c", code, "encode", "a.png", "--seconds", "600", "--width", "16"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    without_compiler = os.environ | {"PATH": ""}  # which takes longer than the rest
    process = subprocess.Popen(command, cwd=tmp_path, env=without_compiler, **pipes)
    assert process.stderr.readline() == "read ...\n"
    assert process.stderr.readline() == "load PyTorch ...\n"
    assert process.stderr.readline() == "fit ...\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert "interrupted" in output
    assert codec.verify(tmp_path / "a.sinr", tmp_path / "a.png").ok


@pytest.mark.parametrize(
    ("verb", "option", "text"),
    [
        ("decode", "size", "10"),
        ("decode", "size", "0x4"),
        ("decode", "region", "1:2,3"),
        ("decode", "region", "a:b"),
        ("decode", "region", ""),
        ("decode", "scale", "big"),
        ("decode", "scale", "1x"),
        ("encode", "frames", "4"),
        ("verify", "frames", "a:4"),
        ("encode", "background", "1,x,3"),
    ],
)
def test_values_that_are_none(verb, option, text):
    result = sinr(verb, "a.sinr", f"--{option}", text)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


@pytest.mark.parametrize(
    ("verb", "expected"),
    [
        ("encode", ["--block", "--variant", "--frames", "--sphere / --no-sphere", "--crop", "--background"]),
        ("batch", ["--block", "--variant", "--frames"]),
        ("verify", ["--block", "--variant", "--frames"]),
        ("decode", ["--scale", "--size", "--region", "--rate", "--fps", "--variables", "--pose", "--mesh", "--orbit"]),
    ],
)
def test_help_has_the_options_of_all_kinds(verb, expected):
    for flag in ("--help", "-h"):
        text = sinr(verb, flag).stdout
        assert all(f"  {option}" in text for option in expected)
        assert "[radiance] " in text or verb != "decode"


def test_kinds_are_loaded_where_one_of_their_options_is_used(coded, tmp_path):
    """A plain decode loads the kind of its file alone."""
    code = "import sys; from sinr_codec.cli.main import app; app(sys.argv[1:], standalone_mode=False); "
    code += (
        "print(*sorted(m[19:] for m in sys.modules if m in ('sinr_codec.signals.image', 'sinr_codec.signals.video')))"
    )
    command = [sys.executable, "-c", code, "decode", str(coded), "-o", str(tmp_path / "a.png")]
    for options, loaded in (([], "image"), (["--scale=2"], "image video")):
        run = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
        assert run.stdout.splitlines()[-1] == loaded


# -- bench -------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (1, 2):
        Image.linear_gradient("L").rotate(30 * number).resize((40, 28)).convert("RGB").save(
            folder / f"kodim0{number}.png"
        )
    return folder


def test_an_experiment_and_its_report(pictures, tmp_path):
    out, results = tmp_path / "out", tmp_path / "results"
    options = ["--data", pictures, "--out", out, "--methods", "coin,minmax", "--configurations", "2x32", "--steps", "5"]
    result = sinr("bench", "c1", *options, "--quiet")
    assert result.exit_code == 0, result.output
    assert "16-bit min-max + Brotli" in result.stdout
    assert str(out / "report/c1.md") in result.stdout
    again = sinr("bench", "report", "--out", out, "--results", results, "--json", "--quiet")
    assert all(Path(path).exists() for path in json.loads(again.stdout)["files"])
    assert names(results) == ["c1.json", "c1.png"]
    assert json.loads((results / "c1.json").read_text())["settings"]["steps"] == 5
    fails(sinr("bench", "c1", *options), out, "--resume")
    assert sinr("bench", "c1", *options, "--resume", "--quiet").exit_code == 0


def test_what_bench_refuses(pictures, tmp_path):
    out = ["--out", tmp_path / "out"]
    fails(sinr("bench", "c9", *out, "--data", pictures), "c1")
    fails(sinr("bench", "c1", *out, "--data", tmp_path / "nothing"), tmp_path / "nothing", "--data")
    fails(sinr("bench", "c1", *out, "--data", pictures, "--images", "7-9"), pictures)
    fails(sinr("bench", "c1", *out, "--data", pictures, "--images", "x"), "1-4")
    fails(sinr("bench", "c1", *out, "--data", pictures, "--scale", "2"), "1/4")
    fails(sinr("bench", "c1", *out, "--data", pictures, "--methods", "jpeg9"), "jpeg9")
    fails(sinr("bench", "report", *out), tmp_path / "out")
    fails(sinr("bench", "c1", "--out", pictures / "kodim01.png", "--data", pictures), pictures / "kodim01.png")
    assert not (tmp_path / "out").exists()


# -- methods -----------------------------------------------------------------------------------------------


def test_a_picture_by_another_method(photo, tmp_path):
    out = tmp_path / "coin.sinr"
    options = ["--preset", "fast", "--width", "8", "--depth", "1", "--json", "--quiet"]
    report = json.loads(sinr("encode", photo, "-o", out, "--method", "coin", *options).stdout)
    assert report["bytes"] == out.stat().st_size
    assert "sine (omega0 30)" in sinr("info", out).stdout
    assert sinr("verify", out, "--against", photo).exit_code == 0
    fails(sinr("encode", photo, "-o", tmp_path / "x.sinr", "--method", "jpeg"), "coin", "inric")
