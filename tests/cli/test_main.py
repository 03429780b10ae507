"""The command as a whole: help, wrong usage, inputs and outputs that cannot be, errors, options of kinds."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from sinr_codec import inspecting

VERBS = ["encode", "decode", "compress", "decompress", "info", "verify", "learn", "bench", "batch", "methods", "view"]


# -- help and usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_help_has_an_example(sinr, verb):
    result = sinr(verb, "--help")
    assert result.exit_code == 0
    assert f"Example:\n    sinr {verb} " in result.stdout


def test_the_module_is_the_command_and_completes():
    run = subprocess.run([sys.executable, "-m", "sinr_codec", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("sinr ")
    environment = os.environ | {"_SINR_COMPLETE": "complete_bash", "COMP_WORDS": "sinr dec", "COMP_CWORD": "1"}
    command = "import sys; sys.argv[0] = 'sinr'; from sinr_codec.cli.main import main; main()"
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, env=environment, check=False)
    assert run.stdout.split() == ["decode", "decompress"]


def test_general_help_and_version(sinr):
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
        ["decompress", "a.sinr", "b.npz"],
        ["info"],
        ["verify", "a.sinr", "--wrong"],
        ["batch", "a.png"],
        ["batch", "--out", "b"],
        ["batch", "a.png", "--out", "b", "--bpp", "1", "--size", "100"],
        ["batch", "a.png", "--out", "b", "--jobs", "0"],
        ["batch", "a.png", "--out", "b", "--jobs", "2", "--scheduler", "tcp://localhost:8786"],
    ],
)
def test_wrong_usage_is_2(sinr, arguments):
    result = sinr(*arguments)
    assert result.exit_code == 2
    assert "Usage" in result.stderr


# -- inputs and outputs that cannot be -----------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["encode", "decode", "compress", "info", "verify"])
def test_missing_input(sinr, fails, names, tmp_path, verb):
    fails(sinr(verb, tmp_path / "missing.npz"), "missing.npz")
    assert names(tmp_path) == []


@pytest.mark.parametrize("verb", ["decode", "info", "verify", "decompress"])
def test_foreign_and_damaged_files(sinr, fails, names, tmp_path, photo, coded, verb):
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


def test_output_that_cannot_be(sinr, fails, names, tmp_path, photo, coded, network):
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
def test_output_without_permission(sinr, fails, tmp_path, photo, coded, network):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    for arguments in outputs(tmp_path, photo, coded, network, closed / "out.npz"):
        fails(sinr(*arguments), "cannot be written")


def test_out_of_memory_and_system_errors_are_one_line(sinr, fails, monkeypatch, coded):
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


def test_interrupt_without_a_result(sinr, monkeypatch, coded):
    monkeypatch.setattr(inspecting, "info", raises(KeyboardInterrupt()))
    result = sinr("info", coded)
    assert result.exit_code == 130
    assert result.stderr == "sinr: error: interrupted; nothing was written\n"


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="signals are those of Unix")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_end_leaves_no_temporary_files(tmp_path, name):
    """A source that arrives by a pipe is copied to a temporary folder, which goes when the command is ended."""
    number = getattr(signal, name)
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("the signal is ignored, as under nohup, and so by commands that are started")
    (tmp_path / "temporary").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    command = [sys.executable, "-m", "sinr_codec", "encode", "-", "-o", str(tmp_path / "a.sinr")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, stderr=subprocess.PIPE) as process:
        process.stdin.write(b"\x89PNG\r\n" + bytes(1 << 17))
        process.stdin.flush()
        while not list(tmp_path.rglob("stream.png")):
            assert process.poll() is None
        while process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)  # Python misses a signal that comes just before a read blocks
        assert process.returncode == 128 + number
    assert not list((tmp_path / "temporary").iterdir())


def test_each_step_is_logged_on_request(coded, tmp_path):
    command = [sys.executable, "-m", "sinr_codec", "decode", str(coded), "-o", str(tmp_path / "a.png")]
    quiet = subprocess.run([*command, "-q"], capture_output=True, text=True, check=True)
    assert (quiet.stdout, quiet.stderr) == ("", "")
    verbose = subprocess.run([*command, "-v"], capture_output=True, text=True, check=True)
    assert "sinr_codec.decoding: " in verbose.stderr


# -- options of kinds --------------------------------------------------------------------------------------


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
def test_values_that_are_none(sinr, verb, option, text):
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
def test_help_has_the_options_of_all_kinds(sinr, verb, expected):
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


def test_a_wrong_number_says_what_was_expected(sinr):
    for option, expected in (("--rate=x", "an integer"), ("--fps=x", "a number")):
        result = sinr("decode", "a.sinr", option)
        assert result.exit_code == 2
        assert f"'x': expected {expected}" in " ".join(result.stderr.split())


def test_options_for_reading_need_a_source(sinr, coded, fails):
    fails(sinr("verify", coded, "--block", 8), "block: is for reading the source", "--against FILE")
