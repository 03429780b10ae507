"""Output files appear whole or not at all."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sinr_codec.errors import InputError
from sinr_codec.files import atomic_folder, atomic_write, without_suffix, write_bytes


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_the_file_appears_at_the_end(tmp_path):
    target = tmp_path / "a.sinr"
    with atomic_write(target) as temporary:
        temporary.write_bytes(b"new")
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".sinr"
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert names(tmp_path) == ["a.sinr"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_exception_leaves_the_old_file_and_no_other(tmp_path, error):
    target = tmp_path / "a.sinr"
    target.write_bytes(b"old")

    def interrupted():
        with atomic_write(target) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        interrupted()
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.sinr"]


def test_permissions_are_those_of_an_ordinary_file(tmp_path):
    (tmp_path / "ordinary").write_bytes(b"")
    write_bytes(tmp_path / "new", b"1")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "ordinary").stat().st_mode
    (tmp_path / "new").chmod(0o640)
    write_bytes(tmp_path / "new", b"2")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_symbolic_link_keeps_pointing(tmp_path):
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "link").symlink_to("real")
    write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"new"


def test_a_device_is_written_to_and_stays(tmp_path):
    write_bytes(os.devnull, b"nothing")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.parametrize("target", ["missing/a.sinr", "", "file/a.sinr"])
def test_an_impossible_target_is_one_line_that_names_it(tmp_path, target):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError) as caught:
        write_bytes(tmp_path / target, b"1")
    assert str(tmp_path / target) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_an_input_error(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with pytest.raises(InputError, match="No space left"):
        write_bytes("/dev/full", b"1")


def test_a_full_disk_leaves_nothing_whatever_a_library_says(tmp_path, small_files):
    """Beyond a limit of bytes a file as the disk takes no more; some writers raise, others say nothing."""
    code = """
import sys
from pathlib import Path
from sinr_codec.files import atomic_files, atomic_folder, atomic_write

folder = Path(sys.argv[1])

def silent(path):
    with path.open("wb", buffering=0) as file:
        file.write(bytes(200))  # writes 100

def raising(path):
    silent(path)
    raise RuntimeError("wrong channels")

def folders(path):
    path.mkdir(exist_ok=True)
    silent(path / "0.0")

for make, arguments, write in (
    (atomic_write, (), silent), (atomic_write, (), raising),
    (atomic_folder, ("group",), folders), (atomic_files, (), folders),
):
    try:
        with make(folder / "out", *arguments) as temporary:
            write(temporary)
    except Exception as error:
        print(type(error).__name__, str(error).removeprefix(str(folder)), sorted(folder.iterdir()))
"""
    said = small_files(code, tmp_path, limit=100)
    assert said.splitlines() == ["InputError /out: cannot be written (File too large) []"] * 4


def test_what_killed_runs_left_is_removed_later(tmp_path):
    old, young = ".a.0123abcd.sinr-partial.png", ".b.0123abcd.sinr-partial.png"
    for name in (old, young, ".mine.partial.png", "c.sinr-partial"):
        (tmp_path / name).write_bytes(b"half")
        if name != young:
            os.utime(tmp_path / name, (1, 1))
    (tmp_path / ".0123abcd.sinr-partial").mkdir()
    os.utime(tmp_path / ".0123abcd.sinr-partial", (1, 1))
    write_bytes(tmp_path / "new", b"1")
    assert names(tmp_path) == [young, ".mine.partial.png", "c.sinr-partial", "new"]


def test_several_threads_write_one_output(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda byte: write_bytes(tmp_path / "a", bytes([byte]) * 9000), range(16)))
    data = (tmp_path / "a").read_bytes()
    assert (len(data), len(set(data))) == (9000, 1)
    assert names(tmp_path) == ["a"]


def test_an_error_about_another_file_is_not_ours(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "a"):
        (tmp_path / "input").read_bytes()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "stem"), [("a/b.png", "a/b"), ("b.NII.GZ", "b"), ("c.d.wav", "c.d"), ("folder", "folder")]
)
def test_without_suffix(name, stem):
    assert without_suffix(Path(name)) == Path(stem)


def test_a_folder_is_whole_or_not_there(tmp_path):
    with pytest.raises(InputError, match="none"), atomic_folder(tmp_path / "a.zarr", "zarr folder") as temporary:
        spoil(temporary)
    assert list(tmp_path.iterdir()) == []
    with atomic_folder(tmp_path / "a.zarr", "zarr folder") as temporary:
        temporary.mkdir()
        (temporary / "x").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zarr", "x"]
    for name, message in (("a.zarr", "exists already; expected a new name for a zarr folder"), ("no/b", "not exist")):
        with pytest.raises(InputError, match=message), atomic_folder(tmp_path / name, "zarr folder"):
            pass


def spoil(folder):
    folder.mkdir()
    (folder / "half").touch()
    raise InputError("none")
