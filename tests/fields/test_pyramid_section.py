"""The section of a pyramid: networks, then latents, and what becomes of damaged ones."""

import numpy as np
import pytest

from sinr_codec import container, decode, decompress, info
from sinr_codec.codec import open as open_file
from sinr_codec.coding.records import CodedNetwork
from sinr_codec.container import FIELD, Header, Limits
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, TruncatedError
from sinr_codec.fields import MLP, Pyramid, family_of, field_from_header
from sinr_codec.fields.pyramid_section import PyramidSection
from sinr_codec.signals.image import ImageSpec

FIELDS = {
    "picture": Pyramid.for_grid((41, 26), 3, channels=(2, 1, 3), width=6, hidden=4),
    "one level": Pyramid.for_grid((9, 12), 1, width=3, hidden=3),
    "sound": Pyramid.for_grid((60,), 2, width=4, hidden=3),
    "video": Pyramid.for_grid((3, 18, 17), 1, channels=(1,), width=4, hidden=3),
    "4D": Pyramid((3, 5, 4, 6), 1, (0, 1, 1, 2), (1, 1), 2, 1, 1, width=2, hidden=2, residuals=1),
}
SECTION = PyramidSection()


def random_params(field, seed=0):
    rng = np.random.Generator(np.random.Philox(seed))
    params = field.init(rng)
    for name, shape in field.shapes().items():
        if name.startswith("latents"):
            params[name] = np.rint(rng.laplace(0, 2, shape)).astype(np.int32)
        elif name != "upsampling":
            spread = 25 if name.startswith("context") else 700
            params[name] = np.rint(rng.normal(0, spread, shape)).astype(np.int32)
    return params


def coded(field, params):
    return SECTION.assemble(field, SECTION.records(field, params)).section


@pytest.fixture(params=FIELDS)
def field(request):
    return FIELDS[request.param]


def test_what_is_decoded_is_what_was_coded(field):
    params = random_params(field)
    decoded = SECTION.decode(field, CodedNetwork(coded(field, params)))
    assert list(decoded) == list(field.shapes())
    field.check(decoded)
    for name, array in params.items():
        np.testing.assert_array_equal(decoded[name], array)
    assert family_of(field).section.__class__ is PyramidSection
    assert field_from_header(field.to_header()) == field


def test_bytes_of_both_parts(field):
    section = coded(field, random_params(field))
    networks, latents = SECTION.describe(field, section)
    assert networks["bytes"] + latents["bytes"] == len(section)
    assert networks["shape"][0] + latents["shape"][0] == field.num_params


def test_a_file_of_a_picture():
    field = FIELDS["picture"]
    params = random_params(field)
    spec = ImageSpec(41, 26, 3, "uint8", "RGB")
    blob = container.write(Header(FIELD, field.to_header(), spec.to_header()), [coded(field, params)])
    axes = [((2 * np.arange(n) + 1) / n - 1).astype(np.float32) for n in (41, 26)]
    values = field.decoder(params).on_grid(axes)
    picture = decode(blob)
    np.testing.assert_array_equal(picture, np.clip(np.rint((values + 1) * 127.5), 0, 255))
    np.testing.assert_array_equal(decode(blob, region=(5, 7, 20, 30)), picture[7:30, 5:20])
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    np.testing.assert_array_equal(open_file(blob)(points), values)
    assert decode(blob, size=(10, 9)).shape == (10, 9, 3)
    assert {name: array.tolist() for name, array in decompress(blob).items()} == {
        name: array.tolist() for name, array in params.items()
    }
    assert [tensor["name"] for tensor in info(blob)["tensors"]] == ["networks", "latents"]


def test_latents_cost_work():
    field = FIELDS["picture"]
    with pytest.raises(LimitError, match="max_work"):
        SECTION.decode(field, CodedNetwork(coded(field, random_params(field)), work=1000))


def test_a_header_of_many_latents():
    field = Pyramid.for_grid((1 << 14, 1 << 14), 1)
    spec = ImageSpec(1 << 14, 1 << 14, 1, "uint8", "L")
    section = coded(FIELDS["picture"], random_params(FIELDS["picture"]))
    blob = container.write(Header(FIELD, field.to_header(), spec.to_header()), [section[:100]])
    with pytest.raises(LimitError):
        open_file(blob, limits=Limits())


def test_sums_that_may_be_too_large():
    field = FIELDS["picture"]
    params = random_params(field)
    for name, message in (("context.1.weight", r"2\*\*31"), ("synthesis.1.weight", r"2\^53")):
        wrong = params | {name: np.full(field.shapes()[name], 2**31 - 1, np.int32)}
        with pytest.raises((InputError, MalformedError), match=message):
            SECTION.records(field, wrong)


def test_damaged_sections(field):
    """Weights and latents of the declared shapes, or an error."""
    section, rng = coded(field, random_params(field)), np.random.default_rng(0)
    refused = 0
    for _ in range(25):
        damaged = bytearray(section)
        damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
        try:
            field.check(SECTION.decode(field, CodedNetwork(bytes(damaged))))
        except FormatError:
            refused += 1
    assert refused
    with pytest.raises(MalformedError):
        SECTION.decode(field, CodedNetwork(section + b"\0\0"))
    for length in (0, 5, len(section) // 2, len(section) - 2):
        with pytest.raises((TruncatedError, LimitError, MalformedError)):
            SECTION.decode(field, CodedNetwork(section[:length]))


def test_what_a_section_is_not_for():
    field = FIELDS["picture"]
    with pytest.raises(InputError, match="progressive"):
        SECTION.assemble(field, SECTION.records(field, random_params(field)), 2)
    with pytest.raises(InputError, match="expected a pyramid"):
        SECTION.describe(MLP(2, 3, 4, 1), b"")
