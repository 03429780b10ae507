"""NumPy files, looked at before they are read."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from sinr_codec.errors import InputError
from sinr_codec.signals.arrays import npy_header, npz_headers, read_npy
from sinr_codec.signals.registry import kind_of


def header_of(shape, dtype="<u2"):
    """A `.npy` file of a header alone."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_headers(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", one=array, two=array[0])
    assert npy_header(tmp_path / "a.npy") == ((2, 3, 4), np.int16)
    assert npz_headers(tmp_path / "a.npz", 1000) == {"one": ((2, 3, 4), np.int16), "two": ((3, 4), np.int16)}
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)


def test_what_declares_too_much_allocates_nothing(tmp_path):
    (tmp_path / "a.npy").write_bytes(header_of((10**5, 10**5, 10)) + bytes(100))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", header_of((10**5, 10**5, 10)))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"a\.npy: damaged .npy file: it ends before"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(InputError, match=r"a\.npz: its arrays take 200,000,000,000 bytes"):
        npz_headers(tmp_path / "a.npz", 10**9)
    with pytest.raises(InputError, match=r"a\.npz: its arrays take"):
        kind_of(tmp_path / "a.npz")
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        b"\x93NUMPY\x01\x00\x10\x00{'descr': '<u2'\n",
        b"\x93NUMPY\x09\x00\x10\x00" + bytes(16),
        header_of((3,), "|O"),
        header_of((3,))[:-20] + b"{(((((((((((((((((((",
    ],
)
def test_damage(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    for read in (npy_header, read_npy, kind_of):
        with pytest.raises(InputError, match=r"a\.npy: not a readable"):
            read(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(InputError, match=r"a\.npz: not a readable"):
        npz_headers(tmp_path / "a.npz", 1000)
