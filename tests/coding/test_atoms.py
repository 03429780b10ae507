import numpy as np
import pytest

from sinr_codec.coding.atoms import ORDERED, SETS, Atoms, sparse_in_limits
from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.coding.sparse import SENT, Layout, SparseCode
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import InputError, LimitError, MalformedError


def code(kind: str = "sign", seed: int = 9, k2: int = 40, s: int = 3, axis: int | None = 0) -> SparseCode:
    return SparseCode(kind, seed, k2, Layout(axis), np.zeros((s, 0), np.int64), np.zeros((s, 0)))


@pytest.mark.parametrize("kind", ["gaussian", "sign", "hadamard"])
@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("coder", [SETS, ORDERED])
def test_what_is_written_is_read(kind, axis, coder):
    atoms = Atoms.of(code(kind, axis=axis), 3, (12, 8), coder)
    reader = Reader(atoms.write())
    assert Atoms.read(reader, (12, 8)) == atoms
    reader.end()
    assert (atoms.k1, atoms.n) == {0: (12, 8), 1: (8, 12), None: (96, 1)}[axis]
    assert atoms.describe() == {
        "dictionary": kind,
        "seed": 9,
        "k2": 40,
        "s": 3,
        "axis": axis,
        "indices": ("sets", "ordered")[coder],
    }


def test_weights_are_atoms_times_coefficients():
    atoms = Atoms.of(code(), 2, (12, 3), SETS)
    indices, q = np.array([[4, 0, 9], [30, 7, 8]]), np.array([1, -2, 3, 4, 5, -6])
    dictionary = make_dictionary("sign", 9, 12, 40).astype(float)
    expected = np.stack([dictionary[:, indices[:, j]] @ q[2 * j : 2 * j + 2] for j in range(3)], 1)
    assert atoms.weights(indices, q, 0.5, 0.0, None).tolist() == (0.5 * expected).reshape(-1).tolist()


def test_a_dictionary_in_the_record():
    table = np.random.default_rng(0).integers(-99, 99, (12, 5))
    atoms = Atoms.of(code(SENT, 0, 5), 5, (12, 3), SETS)
    assert atoms.dense
    assert atoms.read_indices(Reader(b"")).tolist() == [[j] * 3 for j in range(5)]
    np.testing.assert_array_equal(atoms.read_table(Reader(atoms.write_table(table))), table)
    for wrong in (None, table.T, table << 20):
        with pytest.raises(InputError, match="code"):
            atoms.write_table(wrong)
    with pytest.raises(InputError, match="code"):
        Atoms.of(code(), 3, (12, 3), SETS).write_table(table)
    assert not Atoms.of(code(SENT, 0, 5), 4, (12, 3), SETS).dense


def test_limits_are_those_of_a_reader():
    assert sparse_in_limits((64, 64), Layout(0), 65536, 26)
    assert not sparse_in_limits((2**12, 2**12), Layout(0), 65536, 2**9)
    with pytest.raises(LimitError, match="w: 512 of 65536 atoms"):
        Atoms.of(code(k2=65536), 512, (2**12, 2**12), SETS).check_limits("w")
    with pytest.raises(MalformedError, match="atoms for vectors"):
        Atoms.read(Reader(Atoms.of(code(), 13, (12, 8), SETS).write()), (12, 8))
