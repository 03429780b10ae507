"""Many inputs, in real processes: what is made, what is skipped, and what a run survives."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest
from PIL import Image

from sinr_codec import batch, codec
from sinr_codec.batch import encode_many, pools
from sinr_codec.batch.manifest import NAME
from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.fields import Sine
from sinr_codec.progress import NullProgress

pytest.importorskip("torch")
QUICK = {"preset": "fast", "width": 8, "depth": 1, "seconds": 1e-6}  # as few steps as there may be
ARGUMENTS = ["--preset", "fast", "--width", "8", "--depth", "1"]


def photo(path, angle=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").resize((24, 16)).rotate(angle).save(path)
    return path


def lines(folder):
    path = Path(folder) / NAME
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


HANGS = 600  # seconds; no machine is so slow


def until(condition):
    end = time.monotonic() + HANGS
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


def endless(path):
    """An input that whoever reads it waits for; `codec.encode` of it never ends by itself."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


class StopBeforeWork(NullProgress):
    """A Ctrl-C when all is known that is to be encoded."""

    def start(self, label, total):
        if label == "encode":
            raise KeyboardInterrupt


def to_do(inputs, out, **options):
    return encode_many(inputs, out, progress=StopBeforeWork(), **options).left


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A file that is no picture, and two pictures of the same name, by two processes: inputs, out, report."""
    root = tmp_path_factory.mktemp("batch")
    inputs = [root / "in" / "bad.png", photo(root / "in/x/b.png"), photo(root / "in/y/b.png", 45)]
    inputs[0].write_text("hello")
    return inputs, root / "out", encode_many(inputs, root / "out", jobs=2, **QUICK)


@pytest.fixture
def again(run, tmp_path):
    """The same inputs with a copy of the folder, for tests that change it."""
    inputs, out, _ = run
    shutil.copytree(out, tmp_path / "out")
    return inputs, tmp_path / "out"


# -- what a run makes ------------------------------------------------------------------------------------------


def test_all_but_the_failed_are_there(run):
    inputs, out, report = run
    assert (report.done, report.skipped, report.failed, report.left) == (2, 0, 1, 0)
    assert names(out) == [NAME, "x-b.png.sinr", "y-b.png.sinr"]
    assert codec.verify(out / "y-b.png.sinr", inputs[2]).ok
    assert report.bytes_out == sum(path.stat().st_size for path in out.glob("*.sinr"))
    assert report.bytes_in == sum(path.stat().st_size for path in inputs[1:])
    assert report.mean_quality["image"] == pytest.approx(sum(entry.quality for entry in report.entries[1:]) / 2)


def test_the_manifest_has_a_line_an_input(run):
    inputs, out, report = run
    assert sorted(line["input"] for line in lines(out)) == sorted(str(path) for path in inputs)
    assert [entry.input for entry in report.entries] == [str(path) for path in inputs]
    (bad,) = [line for line in lines(out) if "error" in line]
    assert bad["error"] == f"{inputs[0]}: expected a picture that Pillow opens"
    for line in lines(out):
        assert "error" in line or "allow more seconds" in line["notes"][0]


# -- going on --------------------------------------------------------------------------------------------------


def test_what_is_done_is_skipped_and_what_failed_is_tried_again(again):
    inputs, out = again
    before = {name: (out / name).stat().st_mtime_ns for name in names(out)}
    report = encode_many(reversed(inputs), out, **QUICK)
    assert (report.done, report.skipped, report.failed) == (0, 2, 1)
    assert {name for name in before if (out / name).stat().st_mtime_ns != before[name]} == {NAME}
    assert len(lines(out)) == 4


def test_what_failed_comes_last(again):
    (bad, *_), out = again
    worse = bad.with_name("worse.png")
    worse.write_text("hello")
    assert encode_many([bad, worse], out, **QUICK).failed == 2
    assert [line["input"] for line in lines(out)[-2:]] == [str(worse), str(bad)]


def test_what_changed_is_encoded_again(again):
    (_, *good), out = again
    assert to_do(good, out, **QUICK) == 0
    assert to_do(good, out, **QUICK, device="cpu", progressive=False) == 0
    assert to_do(good, out, **QUICK, activation=Sine(20)) == 2
    assert to_do(good, out, **(QUICK | {"width": 9})) == 2
    (out / "y-b.png.sinr").unlink()
    damaged = bytearray((out / "x-b.png.sinr").read_bytes())
    damaged[-1] ^= 1
    (out / "x-b.png.sinr").write_bytes(damaged)
    assert to_do(good, out, **QUICK) == 2


def test_another_version_encodes_again(again, monkeypatch):
    monkeypatch.setattr(batch, "__version__", "999")
    assert to_do(again[0], again[1], **QUICK) == 3


def test_another_content_is_encoded_again(again, tmp_path):
    (_, *good), out = again
    shutil.copytree(good[0].parents[1], tmp_path / "in")
    text = (out / NAME).read_text().replace(str(good[0].parents[1]), str(tmp_path / "in"))
    (out / NAME).write_text(text)
    inputs = [tmp_path / "in/x/b.png", tmp_path / "in/y/b.png"]
    assert to_do(inputs, out, **QUICK) == 0
    photo(inputs[1], 90)
    assert to_do(inputs, out, **QUICK) == 1


def test_half_a_line_is_an_input_to_do(again):
    inputs, out = again
    text = (out / NAME).read_bytes()
    rest = text.rfind(b"\n", 0, -1) + 1
    expected = 1 if b"error" in text[rest:] else 2  # that failed is tried again anyway
    for cut in (len(text) - 1, rest + 9, rest):
        (out / NAME).write_bytes(text[:cut])
        assert to_do(inputs, out, **QUICK) == expected
        assert (out / NAME).read_bytes() == text[:rest]


def test_a_line_that_is_no_entry(again):
    inputs, out = again
    text = (out / NAME).read_bytes()
    for line in (b"hello", b"[]", b'{"input": "a"}', b'{"input": 1, "output": 2, "version": 3, "options": 4}'):
        (out / NAME).write_bytes(line + b"\n" + text)
        with pytest.raises(InputError, match=rf"{NAME}: line 1 is no entry"):
            encode_many(inputs, out, **QUICK)
    (out / NAME).write_bytes(text.replace(b'{"input"', b'{"of a later version": 1, "input"'))
    assert to_do(inputs, out, **QUICK) == 1


def test_somebody_elses_file_stays(again):
    inputs, out = again
    (out / "x-b.png.sinr").write_bytes(b"a recording")
    report = encode_many(inputs[1:], out, **QUICK)
    assert (report.skipped, report.failed) == (1, 1)
    assert "exists and is no .sinr file" in report.entries[0].error
    assert (out / "x-b.png.sinr").read_bytes() == b"a recording"


# -- what is refused before anything begins ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"jobs": 0}, "jobs"),
        ({"preset": "huge"}, "preset"),
        ({"method": "none"}, "method"),
        ({"kind": "smell"}, "kind"),
        ({"bpp": 1, "size": 100}, "target"),
        ({"seconds": -1}, "seconds"),
        ({"checkpoint": "a"}, "checkpoint"),
        ({"base": "missing.sinr", "method": "coinpp"}, "missing.sinr"),
    ],
)
def test_options_that_suit_no_signal(tmp_path, options, word):
    with pytest.raises(InputError, match=word):
        encode_many([photo(tmp_path / "a.png")], tmp_path / "out", **options)
    assert names(tmp_path) == ["a.png"]


def test_no_inputs(tmp_path):
    with pytest.raises(InputError, match="inputs"):
        encode_many([], tmp_path / "out")


def test_a_folder_in_its_input(tmp_path):
    photo(tmp_path / "clip" / "1.png")
    for out in ("clip", "clip/out"):
        with pytest.raises(InputError, match="is in the input"):
            encode_many(tmp_path / "clip", tmp_path / out)
    assert names(tmp_path / "clip") == ["1.png"]


# -- what a run survives -----------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_a_process_that_is_killed_fails_its_input_only(tmp_path):
    inputs = [endless(tmp_path / "a.png"), photo(tmp_path / "b.png")]

    def kill():
        os.kill(until(multiprocessing.active_children)[0].pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    report = encode_many(inputs, tmp_path / "out", **QUICK)
    killer.join()
    assert (report.done, report.failed) == (1, 1)
    assert report.entries[0].error.startswith(f"{inputs[0]}: the process that encoded it was killed by SIGKILL")
    assert names(tmp_path / "out") == ["b.sinr", NAME]
    assert multiprocessing.active_children() == []


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_stopped_goes_on(tmp_path, number):
    psutil = pytest.importorskip("psutil")
    inputs = [make(tmp_path / "in" / f"{name}.png") for name, make in zip("abc", (photo, endless, photo))]
    out = tmp_path / "out"
    # Where the tests run in the background, Ctrl-C is ignored, and would be in their children.
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    code += "; from sinr_codec.cli.main import main; main()"
    command = [sys.executable, "-c", code, "batch", "in/*", "--out", "out", *ARGUMENTS]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    until(lambda: lines(out) or process.poll() is not None)  # then it is at the second input, which never ends
    children = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, number)  # as a terminal does
    _, error = process.communicate(timeout=HANGS)
    assert process.returncode == (-number if number == signal.SIGKILL else 130)
    if number == signal.SIGINT:
        assert error.splitlines()[-1] == ("sinr: error: interrupted; the same command goes on with the 2 that are left")
        assert "Traceback" not in error
    assert len(children) >= 1
    until(lambda: not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children))
    assert names(out) == ["a.sinr", NAME]
    assert to_do(inputs, out, **(QUICK | {"seconds": None})) == 2


# -- elsewhere -----------------------------------------------------------------------------------------------------


def test_urls_in_and_out(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    system, root = fsspec.filesystem("memory"), f"memory:///{uuid.uuid4()}"
    system.put(str(photo(tmp_path / "a.png")), f"{root}/in/a.png")
    inputs = [f"{root}/in/*.png", f"{root}/in/missing.jpg"]
    report = encode_many(inputs, f"{root}/out", **QUICK)
    assert (report.done, report.failed) == (1, 1)
    assert report.entries[1].error == f"{root}/in/missing.jpg: no such file"
    assert codec.verify(system.cat(f"{root}/out/a.sinr"), tmp_path / "a.png").ok
    assert {path.rpartition("/")[2] for path in system.ls(f"{root}/out", detail=False)} == {"a.sinr", NAME}
    assert to_do(inputs[:1], f"{root}/out", **QUICK) == 0
    system.put(str(photo(tmp_path / "a.png", 45)), f"{root}/in/a.png")
    assert to_do(inputs[:1], f"{root}/out", **QUICK) == 1


@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_a_worker_of_a_cluster_that_dies_is_replaced(tmp_path):
    distributed = pytest.importorskip("distributed")
    inputs = [endless(tmp_path / f"{name}.png") for name in "abc"]
    held = [os.open(path, os.O_RDWR) for path in inputs]
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        killed = []

        def kill():
            with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
                pids = client.run(os.getpid)
                until(lambda: all(client.processing().values()))
                for path in inputs:  # for the worker that comes next
                    os.replace(photo(tmp_path / "photo" / path.name), path)
                killed.append(next(iter(pids.values())))
                os.kill(killed[0], signal.SIGKILL)
                for path, writer in zip(inputs, held):  # for the other one, which has opened its input already
                    os.write(writer, path.read_bytes())
                    os.close(writer)

        killer = threading.Thread(target=kill)
        killer.start()
        report = encode_many(inputs, tmp_path / "out", scheduler=cluster.scheduler_address, **QUICK)
        killer.join()
    assert len(killed) == 1
    assert (report.done, report.failed) == (3, 0)
    assert codec.verify(tmp_path / "out" / "a.sinr", inputs[0]).ok
    assert len(lines(tmp_path / "out")) == 3


def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(pools, "PATIENCE", 0.5)
    with pytest.raises(InputError, match=r"tcp://127\.0\.0\.1:9: no Dask scheduler"):
        encode_many([photo(tmp_path / "a.png")], tmp_path / "out", scheduler="tcp://127.0.0.1:9")


def test_a_missing_extra_is_named_and_local_files_need_none(tmp_path, monkeypatch):
    for name in ("fsspec.core", "distributed"):
        monkeypatch.setitem(sys.modules, name, None)
    assert to_do([photo(tmp_path / "a.png")], tmp_path / "out") == 1
    with pytest.raises(MissingExtraError, match=r"memory://a\.png: needs fsspec: pip install 'sinr-codec\[batch\]'"):
        encode_many(["memory://a.png"], tmp_path / "out")
    with pytest.raises(MissingExtraError, match="scheduler: needs distributed"):
        encode_many([tmp_path / "a.png"], tmp_path / "out", scheduler="tcp://127.0.0.1:9")


def test_without_torch_one_line_says_so(tmp_path, monkeypatch):
    photos = [photo(tmp_path / f"{name}.png") for name in "ab"]
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "sinr_codec.fit", raising=False)
    with pytest.raises(MissingExtraError, match="needs torch: pip install"):
        encode_many(photos, tmp_path / "out")
    assert lines(tmp_path / "out") == []
