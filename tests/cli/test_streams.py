"""Standard input and output, pipes, URLs: the bytes on stdout alone, messages on stderr, nothing read for ever."""

import contextlib
import http.server
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from typer.testing import CliRunner

from sinr_codec import codec, decoding, networks
from sinr_codec.cli.main import app
from sinr_codec.errors import InputError

TINY = ("--preset", "fast", "--width", 4, "--depth", 1, "--seconds", 0.01, "-q")


@pytest.fixture
def piped():
    """Run the command with bytes on stdin; bytes of stdout."""

    def run(data, *arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=data)
        assert result.exit_code in (0, 3), result.output
        return result.stdout_bytes, result.stderr

    return run


def png(data):
    return np.asarray(Image.open(io.BytesIO(data)))


def test_a_picture_goes_in_and_out_through_pipes(piped, photo):
    coded, said = piped(photo.read_bytes(), "encode", "-", *TINY)
    assert "size" in said
    assert codec.info(coded)["signal"]["shape"] == [16, 24]
    decoded, said = piped(coded, "decode", "-")
    assert "24 x 16 pixels" in said
    np.testing.assert_array_equal(png(decoded), codec.decode(coded))
    assert piped(coded, "decode", "-", "-q")[1] == ""
    array, _ = piped(coded, "decode", "-", "-o", "-", "--format", "npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(array)), codec.decode(coded))


def test_the_beginning_of_a_file_comes_through_a_pipe(piped):
    data = (Path(__file__).parents[1] / "conformance/progressive.sinr").read_bytes()
    beginning = data[: len(data) * 9 // 10]
    decoded, said = piped(beginning, "decode", "-", "--progressive")
    np.testing.assert_array_equal(png(decoded), codec.decode(beginning, progressive=True))
    assert "the end of the file is missing" in said


@pytest.mark.parametrize("verb", ["info", "verify"])
def test_a_file_is_looked_at_in_a_pipe(piped, coded, verb):
    assert b"-" in piped(coded.read_bytes(), verb, "-")[0]
    assert piped(coded.read_bytes(), verb, "/dev/stdin", "--json")[0].startswith(b"{")


def test_the_source_to_verify_with_is_a_pipe(piped, sinr, fails, photo, coded, tmp_path):
    decoding.decode(coded, tmp_path / "same.png")
    assert b"ok" in piped((tmp_path / "same.png").read_bytes(), "verify", coded, "--against", "-")[0]
    last = fails(sinr("verify", coded, "--against", photo))
    assert last.endswith(f"{photo}: is 16 x 24, but {coded} holds 16 x 24 x 3")


def test_a_network_goes_in_and_out_through_pipes(piped, network):
    blob, _ = piped(network.read_bytes(), "compress", "-", "--preset", "fast", "-q")
    restored, _ = piped(blob, "decompress", "-", "--format", "npz")
    assert dict(np.load(io.BytesIO(restored))).keys() == dict(np.load(network)).keys()


def test_the_shell(coded, tmp_path):
    """Redirections and process substitutions of bash."""
    command = f"{sys.executable} -c 'from sinr_codec.cli.main import main; main()'"
    script = f"""
        cat {coded} | {command} decode /dev/stdin -o /dev/stdout | cat > a.png
        {command} decode <(cat {coded}) -o >(cat > b.png)
        {command} decode - -q -o c.png < {coded}
        while ! test -s b.png; do :; done
    """
    run = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert "sinr: error" not in run.stderr
    for name in ("a.png", "b.png", "c.png"):
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / name)), codec.decode(coded))


@contextlib.contextmanager
def served(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=folder)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_urls(sinr, fails, coded, photo, tmp_path, monkeypatch, names):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with served(tmp_path) as url:
        assert sinr("decode", f"{url}/waves.sinr").exit_code == 0
        assert sinr("encode", f"{url}/photo.png?x=1", *TINY).exit_code in (0, 3)
        fails(sinr("info", f"{url}/none.sinr"), f"{url}/none.sinr", "404")
    assert names(tmp_path / "here") == ["photo.sinr", "waves.sinr.png"]


# -- what cannot be --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["decode", "encode"])
def test_what_never_ends_is_refused(verb, tmp_path):
    command = [sys.executable, "-m", "sinr_codec", verb, "-", "-o", "out.sinr"]
    with subprocess.Popen(["yes", "no"], stdout=subprocess.PIPE) as endless:
        run = subprocess.run(command, stdin=endless.stdout, capture_output=True, cwd=tmp_path, check=False)
        endless.kill()
    assert run.returncode == 1
    assert run.stderr.startswith(b"sinr: error: standard input: ")
    assert run.stderr.count(b"\n") == 1


def test_devices_and_terminals(sinr, fails, coded):
    for verb in ("encode", "decode", "info", "verify"):
        fails(sinr(verb, "/dev/zero"), "/dev/zero: is a device; expected a file or a pipe")
    leader, terminal = os.openpty()
    with open(terminal, "r+b", buffering=0) as file:
        with pytest.raises(InputError, match="is a terminal"):
            decoding.decode(file)
        with pytest.raises(InputError, match="is a terminal; send it"):
            decoding.decode(coded, file)
    os.close(leader)


def test_names_that_are_none(coded):
    for source in ("a\0b", 5, None, []):
        with pytest.raises(InputError, match=r"no such file|expected a path"):
            decoding.open(source)
    with pytest.raises(InputError, match="no name of a file"):
        decoding.decode(coded, "a\0b")
    with open(coded, encoding="latin-1") as text, pytest.raises(InputError, match="open for text"):
        decoding.open(text)


def test_nothing_is_rendered_for_an_output_that_cannot_be(sinr, fails, coded, monkeypatch, tmp_path, network):
    monkeypatch.setattr(decoding.Decoder, "render", lambda *_, **__: pytest.fail("rendered"))
    fails(sinr("decode", coded, "-o", tmp_path / "a.png", "--format", "npy"), "expected the extension .npy")
    with open(coded, "rb") as readable, pytest.raises(InputError, match="not open for writing"):
        decoding.decode(coded, readable)
    with pytest.raises(InputError, match="open for text"):
        decoding.decode(coded, io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(InputError, match="unknown kind of network file"):
        networks.decompress(coded, io.BytesIO(), format="png")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_behind_a_pipe(sinr, fails, coded):
    fails(sinr("decode", coded, "-o", "/dev/full", "--format", "png"), "/dev/full: cannot be written (No space left")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (("encode", "a.png", "b.png"), "sinr batch"),
        (("decode", "a.sinr", "out.png"), "-o FILE"),
        (("verify", "a.sinr", "a.png"), "--against"),
    ],
)
def test_an_argument_too_many(sinr, arguments, hint):
    result = sinr(*arguments)
    assert result.exit_code == 2
    assert hint in result.stderr


# -- Python ----------------------------------------------------------------------------------------------------


def test_open_files_in_python(coded, photo, network):
    expected = codec.decode(coded)
    with open(coded, "rb") as file:
        np.testing.assert_array_equal(codec.decode(file), expected)
    data = coded.read_bytes()
    assert codec.info(io.BytesIO(data)) == codec.info(coded)
    assert codec.verify(io.BytesIO(data)).ok
    np.testing.assert_array_equal(codec.open(io.BytesIO(data)).render(), expected)
    out = io.BytesIO()
    codec.decode(data, out)
    np.testing.assert_array_equal(png(out.getvalue()), expected)
    codec.decode(data, out := io.BytesIO(), format="npy", scale=2)
    assert np.load(io.BytesIO(out.getvalue())).shape == (32, 48, 3)
    with open(photo, "rb") as file:
        report = codec.encode(file, out := io.BytesIO(), preset="fast", width=4, depth=1)
    assert (out.getvalue(), report.path) == (report.blob, None)
    blob = networks.compress(io.BytesIO(network.read_bytes()), out := io.BytesIO(), preset="fast")
    assert out.getvalue() == blob
    networks.decompress(io.BytesIO(blob), out := io.BytesIO())
    assert out.getvalue()[8:9] == b"{"


def test_sounds_go_through_pipes(piped):
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(2000) / 9), 8000, format="WAV", subtype="PCM_16")
    coded, _ = piped(file.getvalue(), "encode", "-", *TINY)
    decoded, _ = piped(coded, "decode", "-")
    samples, rate = soundfile.read(io.BytesIO(decoded), dtype="int16")
    assert (samples.shape, rate) == ((2000,), 8000)
