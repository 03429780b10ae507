"""The manifest of a batch: what is added is there for good, and tells whether a file still stands."""

import hashlib
import json

import pytest

from sinr_codec.batch.manifest import NAME, Entry, Manifest
from sinr_codec.batch.places import open_folder
from sinr_codec.errors import InputError


def entry(number, **more):
    return Entry(f"/photos/{number}.png", f"{number}.sinr", "1.0", {"preset": "fast"}, **more)


def test_the_last_entry_of_an_input_counts(tmp_path):
    folder = open_folder(tmp_path)
    done = entry(1, output_sha256="ab", bpp=0.5, notes=["short"])
    with Manifest(folder) as manifest:
        for each in (entry(1, error="it failed"), entry(2, error="it failed"), done):
            manifest.add(each)
    with Manifest(folder) as manifest:
        assert manifest.entries == {"/photos/1.png": done, "/photos/2.png": entry(2, error="it failed")}
    assert len((tmp_path / NAME).read_text().splitlines()) == 3


def test_a_file_stands_as_long_as_it_is_what_was_written(tmp_path):
    folder = open_folder(tmp_path)
    folder.write("1.sinr", b"a file")
    digest = hashlib.sha256(b"a file").hexdigest()
    assert entry(1, output_sha256=digest).stands_in(folder)
    assert not entry(2, output_sha256=digest).stands_in(folder)
    assert not entry(1, output_sha256=digest, error="it failed").stands_in(folder)
    folder.write("1.sinr", b"another")
    assert not entry(1, output_sha256=digest).stands_in(folder)


def test_a_line_that_is_no_entry_is_named_and_the_folder_is_free_again(tmp_path):
    folder = open_folder(tmp_path)
    (tmp_path / NAME).write_text('{"input": "a", "output": "b", "version": "1", "options": {}}\n{"input": 3}\n')
    for _ in range(2):
        with pytest.raises(InputError, match="line 2 is no entry of a batch"):
            Manifest(folder)


@pytest.mark.parametrize("output", ["../x.sinr", "/tmp/x.sinr", "..", "", "a\\x.sinr", "a\0"])
def test_an_output_elsewhere_is_refused(tmp_path, output):
    folder = open_folder(tmp_path)
    line = json.dumps({"input": "a", "output": output, "version": "1", "options": {}})
    (tmp_path / NAME).write_text(line + "\n")
    with pytest.raises(InputError, match="line 1 is no entry of a batch"):
        Manifest(folder)


def test_one_run_at_a_time(tmp_path):
    folder = open_folder(tmp_path)
    with Manifest(folder), pytest.raises(InputError, match="another run"):
        Manifest(folder)
