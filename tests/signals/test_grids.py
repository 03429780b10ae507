"""A signal on a grid of one to four axes, in one piece and in blocks: a kind is its axes, its samples and no more."""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from sinr_codec.errors import InputError, LimitError, MalformedError
from sinr_codec.signals.base import Fields
from sinr_codec.signals.cut import Blocking, Cut
from sinr_codec.signals.grids import GridSignal, GridSpec, Parts, check_sides, id_of
from sinr_codec.signals.levels import Levels

SHAPES = [(61,), (23, 31), (19, 8, 17), (9, 8, 7, 13)]


@dataclass(frozen=True)
class Spec(GridSpec):
    sizes: tuple[int, ...]
    levels: Levels
    cut: Cut | None = None

    KIND: ClassVar[str] = "toy"
    UNIT: ClassVar[str] = "cell"
    out_features: ClassVar[int] = 2

    @classmethod
    def from_header(cls, header, side=b""):
        return cls(tuple(header[1]), Levels("int16", -9.0, 9.0), Cut(tuple(header[1]), tuple(header[2]), 0))


class Toy(GridSignal[Spec]):
    BLOCKS = Blocking(least=2, fade=1, noun="cells", largest=400, side=8)


def toy(shape, block=None):
    array = np.random.default_rng(7).integers(-9, 10, (*shape, 2)).astype(np.int16)
    return Toy(array, Spec(shape, Levels("int16", -9.0, 9.0))).cut_like(None, block)


class Exact:
    """A network that has learned every sample of a part."""

    def __init__(self, part):
        coords, values = part.batch(np.arange(len(part)))
        self.known = {row.tobytes(): value for row, value in zip(coords, values)}

    def __call__(self, coords):
        return np.stack([self.known[row.tobytes()] for row in np.ascontiguousarray(coords)])


def exact(signal):
    return Fields([Exact(part) for part in signal.parts], tile=50)


@pytest.mark.parametrize("block", [None, 4, 8])
@pytest.mark.parametrize("shape", SHAPES)
def test_networks_of_all_parts_are_the_signal(shape, block):
    signal = toy(shape, block)
    spec, fields = signal.spec, exact(signal)
    assert spec.parts == len(signal.parts) == (1 if block is None else math.prod(spec.cut.counts))
    assert (spec.in_features, spec.samples, spec.values) == (len(shape), math.prod(shape), 2 * math.prod(shape))
    assert spec.axes == (shape if block is None else spec.cut.extents)
    np.testing.assert_array_equal(spec.evaluate(fields, spec.window(fields)), signal.array)
    region = tuple((n // 3, 2 * n // 3) for n in shape)
    part = spec.evaluate(fields, spec.window(fields, region=",".join(f"{a}:{b}" for a, b in region)))
    np.testing.assert_array_equal(part, signal.array[tuple(slice(*ends) for ends in region)])


@pytest.mark.parametrize("shape", SHAPES)
def test_only_blocks_of_a_region_are_asked_for(shape):
    spec, taken = toy(shape, 4).spec, set()

    class Networks(list):
        def __getitem__(self, number):
            taken.add(number)
            return lambda coords: np.zeros((len(coords), 2), np.float32)

    fields = Fields(Networks())
    spec.evaluate(fields, spec.window(fields, region=((0, 1),) * len(shape)))
    assert taken == {0}


def test_large_signals_are_cut_by_themselves():
    assert toy((20, 20)).in_blocks().spec.cut is None
    signal = toy((20, 21)).in_blocks()
    assert signal.spec.cut == Cut.into((20, 21), 8, 1)
    assert signal.in_blocks() is signal
    never = toy((40, 40))
    never.BLOCKS = replace(Toy.BLOCKS, largest=None)
    assert never.in_blocks() is never


def test_a_signal_is_cut_as_a_file_of_its_sizes():
    like = toy((20, 21), 4).spec
    assert toy((20, 21)).cut_like(like, None).spec == like
    assert toy((20, 21)).cut_like(like, 8).spec == like
    assert toy((20, 21)).cut_like(toy((20, 21)).spec, 8).spec.cut is None
    assert toy((20, 22)).cut_like(like, None).spec.cut is None
    assert toy((3, 3)).cut_like(None, 8).spec.cut is None  # one block is one piece


@pytest.mark.parametrize("block", [-1, 1, 4.5, math.nan, math.inf, 2**31, "4"])
def test_sizes_of_blocks_that_are_refused(block):
    with pytest.raises(InputError, match=r"block .*: expected cells, an integer of at least 2, or 0 for one piece"):
        Toy.BLOCKS.check(block)


@pytest.mark.parametrize("block", [None, 0, 2, 4.0])
def test_sizes_of_blocks(block):
    Toy.BLOCKS.check(block)


def test_limits_come_before_memory():
    spec = Spec((2**31 - 1,) * 2, Levels("int16", -9.0, 9.0))
    with pytest.raises(LimitError, match="cells"):
        spec.window(Fields([], max_samples=10**6))
    assert len(spec.window(Fields([], max_samples=8), region="5:7,9:11")) == 2


def test_networks_that_a_header_declares():
    assert Spec.parts_in([0, [20, 30], [2, 3]]) == 6


def test_parts_are_made_when_they_are_asked_for():
    made = []
    parts = Parts(4, lambda number: made.append(number) or number)
    assert (len(parts), parts[2], parts[-1], parts[1:3]) == (4, 2, 3, [1, 2])
    assert made == [2, 3, 1, 2]
    assert list(parts) == [0, 1, 2, 3]
    for number in (4, -5):
        with pytest.raises(IndexError):
            parts[number]


@pytest.mark.parametrize("header", [None, {}, [], ["0"], [True], [1.0]])
def test_headers_without_an_id(header):
    with pytest.raises(MalformedError, match="signal's id"):
        id_of(header)


@pytest.mark.parametrize("side", [0, -1, 2**31, 2.0, True, None])
def test_sides_that_are_none(side):
    assert id_of([3, 4]) == 3
    check_sides({"rows": 1, "columns": 2**31 - 1}, "toy")
    with pytest.raises(MalformedError, match="toy rows: expected 1 to 2147483647"):
        check_sides({"columns": 5, "rows": side}, "toy")
