"""Folders, files and lines, here and behind a URL."""

import os
import uuid

import fsspec
import pytest

from sinr_codec.batch.places import content_hash, fetched, open_folder
from sinr_codec.errors import InputError


@pytest.fixture(params=["local", "memory"])
def place(request, tmp_path):
    """The address of a folder that does not exist yet."""
    return f"{tmp_path}/new/out" if request.param == "local" else f"memory:///{uuid.uuid4()}/out"


def put(address, data):
    with fsspec.open(address, "wb", auto_mkdir=True) as file:
        file.write(data)


def names(address):
    system, path = fsspec.core.url_to_fs(address)
    return sorted(each.rpartition("/")[2] for each in system.ls(path, detail=False))


def test_files_are_written_and_replaced(place):
    folder = open_folder(place)
    assert folder.read("a.sinr") is None
    for data in (b"one", b"two"):
        folder.write("a.sinr", data)
        assert folder.read("a.sinr") == data
    assert names(place) == ["a.sinr"]


def test_only_a_file_of_ours_is_replaced(place):
    folder = open_folder(place)
    folder.check("a.sinr")
    put(f"{place}/a.sinr", b"somebody's recording")
    with pytest.raises(InputError, match=r"a\.sinr: exists and is no \.sinr file"):
        folder.check("a.sinr")


def test_lines_stay_and_half_a_line_goes(place):
    log = open_folder(place).log("lines")
    assert log.lines == []
    log.append(b"one")
    log.append(b"two")
    log.close()
    put(f"{place}/lines", b"one\ntwo\nthr")
    log = open_folder(place).log("lines")
    assert log.lines == [b"one", b"two"]
    log.append(b"four")
    log.close()
    assert open_folder(place).read("lines") == b"one\ntwo\nfour\n"
    put(f"{place}/lines", b"on")
    assert open_folder(place).log("lines").lines == []


def test_one_run_at_a_time(tmp_path):
    log = open_folder(tmp_path).log("lines")
    with pytest.raises(InputError, match="another run"):
        open_folder(tmp_path).log("lines")
    log.close()
    open_folder(tmp_path).log("lines").close()


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="devices are those of Unix")
def test_what_may_never_end_is_no_input():
    with pytest.raises(InputError, match="/dev/zero: is a device; expected a file"), fetched("/dev/zero"):
        pass
    with pytest.raises(InputError, match="/dev/zero: is a device; expected a file"):
        content_hash("/dev/zero")


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: is a file; expected a folder"):
        open_folder(tmp_path / "file")
    with pytest.raises(InputError, match="below: cannot be made"):
        open_folder(tmp_path / "file" / "below")


def test_a_hash_is_of_content_and_of_names_in_a_folder(place):
    put(f"{place}/a.png", b"hello")
    known = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert content_hash(f"{place}/a.png") == (known, 5)
    put(f"{place}/sub/b.png", b"world!")
    whole = content_hash(place)
    assert whole[1] == 11
    put(f"{place}/sub/b.png", b"World!")
    changed = content_hash(place)
    put(f"{place}/sub/c.png", b"")
    assert len({whole[0], changed[0], content_hash(place)[0]}) == 3


def test_a_folder_has_the_same_hash_everywhere(tmp_path):
    elsewhere = f"memory:///{uuid.uuid4()}"
    for root in (str(tmp_path), elsewhere):
        put(f"{root}/a.png", b"1")
        put(f"{root}/sub/b.png", b"2")
    assert content_hash(str(tmp_path)) == content_hash(elsewhere)


def test_what_is_elsewhere_is_copied_under_its_name(place):
    put(f"{place}/clip/1.png", b"1")
    put(f"{place}/clip/sub/2.png", b"2")
    with fetched(f"{place}/clip") as path:
        assert path.name == "clip"
        assert (path / "sub" / "2.png").read_bytes() == b"2"
    with fetched(f"{place}/clip/1.png") as path:
        assert path.name == "1.png"
        assert path.read_bytes() == b"1"
    assert path.exists() == (not place.startswith("memory"))
    with pytest.raises(InputError, match=r"3\.png: no such file"), fetched(f"{place}/3.png"):
        pass
