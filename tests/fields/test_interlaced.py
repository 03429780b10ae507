"""Fields of interlaced samples: values, headers, sections."""

import numpy as np
import pytest

from sinr_codec.coding.records import CodedNetwork
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError
from sinr_codec.fields import MLP, Interlaced, Sine
from sinr_codec.fields.interlaced import SAMPLES
from sinr_codec.fields.interlaced_section import InterlacedSection

FIELD = Interlaced((9, 12), 2, (4, 2), 2, 3, 4, (0.25, 0.125), (-1.0, 0.5))
HEADER = FIELD.to_header()


def random_params(field, seed=0):
    rng = np.random.default_rng(seed)
    params = {name: np.rint(rng.normal(0, 60, shape)).astype(np.int32) for name, shape in field.networks.items()}
    return params | {SAMPLES: rng.integers(-4, 5, field.shapes()[SAMPLES], np.int32)}


def centres(n):
    return ((2 * np.arange(n) + 1) / n - 1).astype(np.float32)


def test_values_are_steps_from_the_origin():
    params = random_params(FIELD)
    decoder = FIELD.decoder(params)
    wanted = np.moveaxis(params[SAMPLES], 0, -1) * np.array([0.25, 0.125]) + np.array([-1, 0.5])
    np.testing.assert_array_equal(decoder.on_grid([centres(9), centres(12)]), wanted.astype(np.float32))
    points = np.array([[centres(9)[3], centres(12)[7]], [2.0, -2.0]], np.float32)  # beyond the grid is its edge
    np.testing.assert_array_equal(decoder(points), wanted[[3, 8], [7, 0]])


def test_a_constant_is_the_nearest_step():
    params = FIELD.centre(FIELD.init(np.random.default_rng(0)), np.array([0.1, 0.6], np.float32))
    FIELD.check(params)
    np.testing.assert_allclose(FIELD.decoder(params)(np.zeros((1, 2), np.float32)), [[0.0, 0.625]])


def test_the_usual_form():
    field = Interlaced.for_grid((100, 7, 3), [0.5], [0.0], whole=(1,))
    assert field.halvings == (7, 0, 0)
    assert field.describe() == "interlaced samples of 100 x 7 x 3, 28 neighbours -> 8"
    assert Interlaced.for_grid((1000, 1000), [0.5], [0.0]).width == 32
    assert Interlaced.for_grid((8, 8, 8, 8), [1], [0]).near == 2


def test_header_round_trip():
    assert HEADER == [8, 2, [9, 12], [4, 2], 2, 3, 4, [0.25, 0.125], [-1, 0.5]]
    assert Interlaced.from_header(HEADER, FIELD.num_params) == FIELD
    with pytest.raises(LimitError):
        Interlaced.from_header(HEADER, FIELD.num_params - 1)


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, 7),
        *((1, value) for value in (0, 65, 1, 2.0)),
        *((2, value) for value in ([], [9], [0, 12], [9, (1 << 24) + 1], [1] * 5, [9, 12.0], 9)),
        *((3, value) for value in ([], [4], [5, 2], [-1, 2], [True, 2])),
        *((4, value) for value in (-1, 9, 2.0)),
        *((5, value) for value in (0, 2, 9)),
        *((6, value) for value in (0, 65)),
        *((7, value) for value in ([], [1], [0, 1], [-1, 1], [2.0**41, 1], [float("nan"), 1], ["1", 1], 1)),
        *((8, value) for value in ([], [1], [3, 0], [0, float("inf")], [None, 0])),
    ],
)
def test_headers_that_break_the_form_are_refused(position, value):
    with pytest.raises(MalformedError, match="field header"):
        Interlaced.from_header([*HEADER[:position], value, *HEADER[position + 1 :]], 1 << 30)


@pytest.mark.parametrize("header", [[], HEADER[:8], [*HEADER, 0], None, b"888888888"])
def test_headers_of_another_length_are_refused(header):
    with pytest.raises(MalformedError, match="field header"):
        Interlaced.from_header(header, 1 << 30)


def test_section_round_trip():
    params, section = random_params(FIELD), InterlacedSection()
    records = section.records(FIELD, params)
    coded = section.assemble(FIELD, records)
    found = section.decode(FIELD, coded)
    assert list(found) == list(FIELD.shapes())
    for name, values in params.items():
        np.testing.assert_array_equal(found[name], values)
    about = section.describe(FIELD, coded.section)
    assert [each["name"] for each in about] == ["predictor", "samples"]
    assert sum(each["bytes"] for each in about) == len(coded.section)
    assert [each["shape"][0] for each in about] == [FIELD.network_params, 2 * 9 * 12]


def test_sections_that_no_encoder_writes_are_refused():
    section = InterlacedSection()
    blob = section.assemble(FIELD, section.records(FIELD, random_params(FIELD))).section
    for damaged in (blob + b"\0", blob[:-1], blob[:20], b""):
        with pytest.raises(FormatError):
            section.decode(FIELD, CodedNetwork(damaged))
    with pytest.raises(InputError, match="no planes"):
        section.assemble(FIELD, {}, planes=1)
    with pytest.raises(InputError, match="expected interlaced samples"):
        section.decode(MLP(2, 1, 8, 1, Sine(30.0)), CodedNetwork(blob))
    with pytest.raises(InputError, match="samples must be there"):
        FIELD.check({name: w for name, w in random_params(FIELD).items() if name != SAMPLES})
