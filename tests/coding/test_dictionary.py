import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinr_codec.coding.dictionary import KINDS, MAX_ENTRIES, MAX_MAGNITUDES, atoms, make_dictionary
from sinr_codec.errors import InputError, LimitError

MASK = 2**64 - 1


def philox4x64(counter: tuple[int, int, int, int], key: tuple[int, int]) -> list[int]:
    """Philox4x64-10 after Salmon et al. 2011, in plain integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product0, product1 = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (
            (product1 >> 64) ^ c1 ^ k0,
            product1 & MASK,
            (product0 >> 64) ^ c3 ^ k1,
            product0 & MASK,
        )
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & MASK, (k1 + 0xBB67AE8584CAA73B) & MASK
    return [c0, c1, c2, c3]


def words(seed: int, kind: str, number: int, count: int) -> list[int]:
    """The words of one atom, as docs/format.md defines them."""
    blocks = -(-count // 4)
    drawn = [w for b in range(blocks) for w in philox4x64((number * blocks + b, 0, 0, 0), (seed, KINDS[kind]))]
    return drawn[:count]


def plain_atom(kind: str, seed: int, k1: int, j: int) -> list[int]:
    if kind == "gaussian":
        return [w.bit_count() - 32 for w in words(seed, kind, j, k1)]
    order = 1
    while order < k1:
        order *= 2
    block, h = (j, 0) if kind == "sign" else divmod(j, order)
    drawn = words(seed, kind, block, -(-k1 // 64))
    return [(-1) ** ((drawn[i // 64] >> (i % 64)) & 1) * (-1) ** (i & h).bit_count() for i in range(k1)]


def test_philox_published_known_answer():
    assert philox4x64((0, 0, 0, 0), (0, 0)) == [
        0x16554D9ECA36314C,
        0xDB20FE9D672D0FDC,
        0xD7E772CEE186176B,
        0x7E68B68AEC7BA23B,
    ]


def test_gaussian_starts_with_the_published_words():
    expected = [bin(w).count("1") - 32 for w in (0x16554D9ECA36314C, 0xDB20FE9D672D0FDC)]
    assert make_dictionary("gaussian", 0, 2, 1)[:, 0].tolist() == expected == [-2, 5]


RANDOM = [kind for kind in KINDS if kind != "dct"]

# Files depend on these numbers; docs/format.md prints them.
FIRST_ATOMS = {
    "gaussian": [[-2, 5, 5, 4, -4, 0, -1, 2], [-4, 1, 1, 7, -1, 0, 4, -6], [0, 3, 8, -2, 1, -1, 10, -1]],
    "sign": [[-1, 1, 1, 1, -1, 1, 1, 1], [1, -1, -1, 1, -1, -1, -1, 1], [-1, -1, -1, -1, 1, -1, -1, 1]],
    "hadamard": [[1, -1, -1, -1, -1, 1, 1, 1], [1, 1, -1, 1, -1, -1, 1, -1], [1, -1, 1, 1, -1, 1, -1, -1]],
}
DIGESTS = {
    "gaussian": "7e047673b5363a352e5e2aef8b83b740a26ee39d725b452e8c2e7ef6dc7ac211",
    "sign": "404181058c3bd611f5873ae85447fd309357831aba08613c3d992f94bf7d8102",
    "hadamard": "42d1fef30f4ab2aef12f23a1829016c2e3a038392792f9ec056d9d4b20867a24",
}


@pytest.mark.parametrize("kind", RANDOM)
def test_known_answers(kind):
    assert make_dictionary(kind, 0, 8, 3).T.tolist() == FIRST_ATOMS[kind]
    columns = make_dictionary(kind, 0x123456789ABCDEF0, 100, 300).tobytes("F")
    assert hashlib.sha256(columns).hexdigest() == DIGESTS[kind]


@pytest.mark.parametrize("kind", RANDOM)
@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
@pytest.mark.parametrize(("k1", "k2"), [(1, 3), (3, 5), (4, 4), (64, 70), (65, 130), (100, 9), (257, 3)])
def test_equals_plain_python(kind, seed, k1, k2):
    built = make_dictionary(kind, seed, k1, k2)
    assert built.dtype == np.int8
    assert built.shape == (k1, k2)
    assert built.T.tolist() == [plain_atom(kind, seed, k1, j) for j in range(k2)]


@pytest.mark.parametrize("kind", RANDOM)
def test_chunks_leave_no_trace(kind):
    """More words than one draw, so that chunk borders are crossed."""
    k1, k2 = 130, 20_000
    built = make_dictionary(kind, 5, k1, k2)
    for j in (0, 7_999, 8_000, 8_065, 8_066, 16_131, 16_132, 19_999):
        assert built[:, j].tolist() == plain_atom(kind, 5, k1, j)
    assert np.array_equal(built[:, :50], make_dictionary(kind, 5, k1, 50))


@given(
    kind=st.sampled_from(RANDOM),
    k1=st.integers(1, 150),
    k2=st.integers(1, 3000),
    data=st.data(),
)
def test_atoms_are_columns_of_the_dictionary(kind, k1, k2, data):
    indices = data.draw(st.lists(st.integers(0, k2 - 1), max_size=12))
    some = atoms(kind, 9, k1, k2, np.array(indices, np.int64))
    assert some.shape == (k1, len(indices))
    assert np.array_equal(some, make_dictionary(kind, 9, k1, k2)[:, indices])


@pytest.mark.parametrize("kind", RANDOM)
def test_atoms_reach_far_without_the_rest(kind):
    """2^24 atoms of 1,000 entries do not fit the limit; single ones are still at hand."""
    last = 2**24 - 1
    far = atoms(kind, 3, 1000, 2**24, [last, 0])
    assert far[:, 0].tolist() == plain_atom(kind, 3, 1000, last)
    assert far[:, 1].tolist() == plain_atom(kind, 3, 1000, 0)


def test_gaussian_entries_are_a_centred_binomial():
    entries = make_dictionary("gaussian", 11, 128, 4096).astype(float)
    assert abs(entries.mean()) < 5 * 4 / np.sqrt(entries.size)
    assert abs(entries.std() - 4) < 0.02
    correlation = np.corrcoef(entries[:, :64], rowvar=False) - np.eye(64)
    assert np.abs(correlation).max() < 0.5
    assert np.abs(entries).max() <= MAX_MAGNITUDES["gaussian"]


def test_hadamard_blocks_are_orthogonal():
    block = make_dictionary("hadamard", 4, 64, 128)[:, 64:].astype(int)
    assert np.array_equal(block.T @ block, 64 * np.eye(64, dtype=int))


def test_kinds_and_seeds_differ():
    built = [make_dictionary(kind, seed, 64, 64).tobytes() for kind in RANDOM for seed in (0, 1)]
    assert len(set(built)) == len(built)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("cosine", 0, 4, 4), InputError),
        (("sign", -1, 4, 4), InputError),
        (("sign", 2**64, 4, 4), InputError),
        (("sign", 0, 0, 4), InputError),
        (("sign", 0, 4, 0), InputError),
        (("gaussian", 0, 2**14, MAX_ENTRIES // 2**14 + 1), LimitError),
        (("gaussian", 0, 2**40, 1), LimitError),
        (("gaussian", 0, 1, 2**40), LimitError),
    ],
)
def test_refused(arguments, error):
    with pytest.raises(error) as caught:
        make_dictionary(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("indices", [[-1], [4], [0.5], [[0]]])
def test_atoms_refuses_indices(indices):
    with pytest.raises(InputError, match="indices"):
        atoms("sign", 0, 4, 4, indices)


def test_atoms_refuses_too_many():
    with pytest.raises(LimitError):
        atoms("gaussian", 0, 2**20, 4, np.zeros(2**9, np.int64))


def test_cosines_known_answers():
    first = make_dictionary("dct", 3, 6, 24)[:, [0, 1, 9]].T.tolist()
    assert first == [[127] * 6, [123, 90, 33, 123, 90, 33], [83, -83, -83, 34, -34, -34]]
    digest = hashlib.sha256(make_dictionary("dct", 24, 384, 1536).tobytes("F")).hexdigest()
    assert digest == "dbf8a777ee9712ede3577db59c95ea04b01caee77d7889f911b30532967ca160"


@pytest.mark.parametrize(("rows", "columns", "f"), [(1, 1, 1), (1, 7, 2), (9, 1, 3), (3, 5, 1), (16, 24, 2)])
def test_cosines_are_the_cosines(rows, columns, f):
    built = make_dictionary("dct", columns, rows * columns, f * f * rows * columns)
    cosines = [np.cos(np.pi * np.outer(np.arange(f * n), 2 * np.arange(n) + 1) / (2 * f * n)) for n in (rows, columns)]
    expected = 127 * np.einsum("uy,vx->yxuv", *cosines).reshape(built.shape)
    assert np.abs(built - expected).max() < 0.5 + 1e-4
    wanted = np.array([built.shape[1] - 1, 0, built.shape[1] // 2])
    assert np.array_equal(atoms("dct", columns, *built.shape, wanted), built[:, wanted])


def test_cosines_of_a_grid_are_nearly_orthogonal():
    built = make_dictionary("dct", 24, 384, 384).astype(float)
    built /= np.linalg.norm(built, axis=0)
    assert np.abs(built.T @ built - np.eye(384)).max() < 0.01


@pytest.mark.parametrize(
    ("columns", "k1", "k2"), [(0, 6, 6), (4, 6, 6), (7, 6, 6), (3, 6, 12), (3, 6, 7), (256, 65792, 65792)]
)
def test_no_such_grid(columns, k1, k2):
    with pytest.raises(InputError, match="grid"):
        atoms("dct", columns, k1, k2, [0])
