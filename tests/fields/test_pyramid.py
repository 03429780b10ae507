"""Pyramids: the synthesis against plain loops over integers, windows, resampling, headers, limits."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from sinr_codec.coding.latents import offsets
from sinr_codec.errors import InputError, LimitError, MalformedError, UnknownIdError
from sinr_codec.fields.pyramid import Pyramid
from sinr_codec.fields.resampling import Resampled
from sinr_codec.fields.synthesis import Synthesis
from sinr_codec.signals.base import Fields
from sinr_codec.signals.grid import CENTRES
from sinr_codec.signals.lattice import render

FIELDS = {
    "1D": Pyramid.for_grid((37,), 2, width=5, residuals=1),
    "1D short": Pyramid.for_grid((1,), 1, width=3),
    "picture": Pyramid.for_grid((41, 26), 3, channels=(2, 1, 3), width=6),
    "row": Pyramid.for_grid((1, 33), 1, width=4),
    "one": Pyramid.for_grid((1, 1), 3, width=4),
    "icon": Pyramid((7, 5), 4, (2, 1), (1, 2), 4, 1, 1, width=4),
    "uneven": Pyramid((30, 9), 1, (4, 2), (1, 1, 2, 1), 4, 1, 1, width=3, residuals=0),
    "video": Pyramid.for_grid((3, 18, 17), 1, channels=(1,), width=4),
    "volume": Pyramid((9, 8, 11), 1, (1, 2, 3), (1, 1, 1), 4, 1, 1, width=3),
    "4D": Pyramid((3, 5, 4, 6), 1, (0, 1, 1, 2), (1, 1), 2, 1, 1, width=2, residuals=1),
    "4D whole": Pyramid((2, 3, 3, 2), 1, (1, 1, 1, 1), (1,), 2, 1, 1, width=2, residuals=2),
}


def random_params(field, seed=0, spread=3):
    rng = np.random.Generator(np.random.Philox(seed))
    params = field.init(rng)
    for name, shape in field.shapes().items():
        if name.startswith("latents"):
            params[name] = np.rint(rng.laplace(0, spread, shape)).astype(np.int32)
        elif name != "upsampling" and not name.startswith("context"):
            params[name] = np.rint(rng.normal(0, 1500, shape)).astype(np.int32)
    return params


# -- the synthesis by loops over integers, as docs/format.md has it


def shifted(x, tap, mirrored=()):
    """x at every position + tap, axis 0 counts channels; edges are replicated, or mirrored without the edge itself."""
    for axis, offset in enumerate(tap, 1):
        last = x.shape[axis] - 1
        at = np.arange(last + 1) + offset
        at = last - np.abs(last - np.abs(at)) if axis - 1 in mirrored else np.clip(at, 0, last)
        x = np.take(x, at, axis)
    return x


def convolved(x, weight, bias, mirrored=()):
    d = x.ndim - 1
    total = np.zeros((len(weight), *x.shape[1:]), np.int64) + bias.reshape(-1, *[1] * d)
    for tap in itertools.product((-1, 0, 1), repeat=d):
        near = shifted(x, tap, mirrored)
        for out, channel in np.ndindex(*weight.shape[:2]):
            total[out] += weight[(out, channel, *(t + 1 for t in tap))] * near[channel]
    return total


def upsampled(x, axis, size, kernel):
    x = np.moveaxis(x, axis, 0)
    last = len(x) - 1
    out = np.zeros((size, *x.shape[1:]), np.int64)
    for j in range(size):
        i, odd = divmod(j, 2)
        for t in range(4):
            out[j] += kernel[t] * x[min(max(i + 2 - t if odd else i - 2 + t, 0), last)]
    return np.moveaxis((out + 2**11) >> 12, 0, axis)


def by_hand(field, params):
    """All samples in units of 2^-16, int64 (*sizes, b)."""
    p = {name: array.astype(np.int64) for name, array in params.items()}
    d, b, levels = len(field.sizes), field.out_features, max(field.halvings)
    sizes = [[-(-n // 2 ** min(level, h)) for n, h in zip(field.sizes, field.halvings)] for level in range(levels + 1)]
    x = p[f"latents.{levels}"] << 8
    for level in range(levels - 1, 0, -1):
        for axis in range(d):
            if field.halvings[axis] > level:
                x = upsampled(x, axis + 1, sizes[level][axis], p["upsampling"])
        x = np.concatenate([p[f"latents.{level}"] << 8, x])
    a = (convolved(x, p["synthesis.0.weight"], p["synthesis.0.bias"] << 8) + 2**9) >> 10
    h = np.concatenate([np.maximum(8 * a, a), x << 5])
    o = np.tensordot(p["synthesis.1.weight"], h, 1) + (p["synthesis.1.bias"] << 9).reshape(-1, *[1] * d)
    o = (o + 2**8) >> 9
    halved = [h >= 1 for h in field.halvings]
    full = np.zeros((b, *(n * (1 + h) for n, h in zip(sizes[1], halved))), np.int64)
    phases = list(itertools.product(*((0, 1) if h else (0,) for h in halved)))
    for value, (number, phase) in itertools.product(range(b), enumerate(phases)):
        there = tuple(slice(bit, None, 1 + h) for bit, h in zip(phase, halved))
        full[(value, *there)] = o[value * len(phases) + number]
    for number in range(field.residuals):
        mirrored = [axis for axis, h in enumerate(halved) if h]
        r = convolved(full, p[f"residuals.{number}.weight"], p[f"residuals.{number}.bias"] << 12, mirrored)
        r = (r + 2**11) >> 12
        full = full + (r if number == field.residuals - 1 else np.maximum(r, r >> 3))
    return np.moveaxis(full[(slice(None), *(slice(n) for n in field.sizes))], 0, -1)


def axes_of(sizes):
    return [CENTRES.axis(n, max(sizes), n) for n in sizes]


def points_of(axes):
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))


@pytest.fixture(params=FIELDS)
def field(request):
    return FIELDS[request.param]


class TestSynthesis:
    def test_it_is_that_of_plain_integers(self, field):
        params = random_params(field)
        wanted = by_hand(field, params)
        assert wanted.any()
        samples = Synthesis(field, params).window([(0, n) for n in field.sizes])
        assert samples.dtype == np.float32
        np.testing.assert_array_equal(samples, (wanted / 2**16).astype(np.float32))

    @pytest.mark.parametrize("axes", [1, 2, 3, 4])
    def test_every_small_size(self, axes):
        rng = np.random.default_rng(axes)
        for size in range(1, 10):
            sizes = (size, *rng.integers(1, 10 if axes < 3 else 5, axes - 1).tolist())
            field = Pyramid.for_grid(sizes, 2, width=2, residuals=size % 3)
            params = random_params(field, size)
            samples = field.decoder(params).on_grid(axes_of(sizes))
            np.testing.assert_array_equal(samples, (by_hand(field, params) / 2**16).astype(np.float32))

    def test_a_window_is_a_part_of_the_whole(self, field):
        synthesis, rng = Synthesis(field, random_params(field, 1)), np.random.default_rng(0)
        whole = synthesis.window([(0, n) for n in field.sizes])
        for _ in range(12):
            starts = [int(rng.integers(n)) for n in field.sizes]
            window = [(a, int(rng.integers(a, n)) + 1) for a, n in zip(starts, field.sizes)]
            part = whole[tuple(slice(a, b) for a, b in window)]
            assert synthesis.window(window).tobytes() == part.tobytes()

    def test_chunks_do_not_matter(self, monkeypatch):
        field = FIELDS["picture"]
        params = random_params(field)
        whole = Synthesis(field, params).window([(0, n) for n in field.sizes])
        monkeypatch.setattr("sinr_codec.fields.synthesis._COLUMNS", 1)
        assert Synthesis(field, params).window([(0, n) for n in field.sizes]).tobytes() == whole.tobytes()

    @pytest.mark.parametrize("threads", [1, 2])
    def test_threads_of_matrix_products_do_not_matter(self, threads):
        field = FIELDS["picture"]
        params = random_params(field)
        with threadpool_limits(threads, user_api="blas"):
            samples = Synthesis(field, params).window([(0, n) for n in field.sizes])
        np.testing.assert_array_equal(samples, (by_hand(field, params) / 2**16).astype(np.float32))

    def test_a_window_costs_what_the_window_costs(self):
        """Latents that are far away may be missing."""
        field = Pyramid.for_grid((400, 400), 1, channels=(1,), width=2)
        params = random_params(field)
        window = [(200, 210), (180, 200)]
        wanted = Synthesis(field, params).window(window)
        params["latents.1"][:, :, :80] = 0
        params["latents.1"][:, 120:] = 0
        params["latents.2"][:, :30] = 0
        np.testing.assert_array_equal(Synthesis(field, params).window(window), wanted)
        params["latents.1"][:, 102, 95] += 1
        assert (Synthesis(field, params).window(window) != wanted).any()

    def test_no_zero_is_negative(self):
        field = FIELDS["picture"]
        params = {name: np.zeros_like(array) for name, array in random_params(field).items()}
        params["synthesis.1.weight"][:] = -1
        samples = Synthesis(field, params).window([(0, n) for n in field.sizes])
        assert not samples.any()
        assert not np.signbit(samples).any()


class TestSums:
    """Weights may be as large as sums below 2^53 allow."""

    def test_the_largest_sums_are_exact(self):
        """Sums just below 2^53, with signs that make the largest of them occur."""
        field = Pyramid((4, 4), 1, (1, 1), (1,), 1, 0, 0, 1, width=1, residuals=0)
        params = field.init(np.random.default_rng(0))
        params["latents.1"][:] = 32767
        params["synthesis.0.weight"][:] = 2**19 - 1
        params["synthesis.1.weight"][:, 0] = 2**14
        wanted = by_hand(field, params)
        assert np.abs(wanted).max() << 9 > 2**52
        np.testing.assert_array_equal(
            field.decoder(params).on_grid(axes_of(field.sizes)), (wanted / 2**16).astype(np.float32)
        )

    @pytest.mark.parametrize(
        "name", ["upsampling", "synthesis.0.weight", "synthesis.1.weight", "residuals.0.weight", "residuals.1.weight"]
    )
    def test_larger_ones_are_refused(self, name):
        field = FIELDS["picture"]
        params = random_params(field)
        params[name][:] = 2**31 - 1
        with pytest.raises(MalformedError, match=r"2\^53"):
            field.decoder(params)

    def test_larger_latents_are_refused(self):
        """Bounds are those of the latents that there are."""
        field = FIELDS["picture"]
        params = random_params(field)
        params["synthesis.1.weight"][:] = 2**17
        field.decoder(params)
        params["latents.2"][0, 0, 0] = -(2**31)
        with pytest.raises(MalformedError, match=r"2\^53"):
            field.decoder(params)


# -- resampling


def cubic(t):
    """Catmull-Rom, from the definition of Keys with a = -1/2."""

    def kernel(x):
        x = abs(x)
        return 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    return [kernel(t - k) for k in range(-1, 3)]


def interpolated(samples, point):
    """The value of samples (*sizes, b) at a point of [-1, 1]^d."""
    for c in point:
        n = len(samples)
        u = min(max(((float(c) + 1) * n - 1) / 2, 0), n - 1)
        i = int(u)
        samples = sum(w * samples[min(max(i + k - 1, 0), n - 1)] for k, w in enumerate(cubic(u - i)))
    return samples


class TestResampling:
    def test_native_positions_are_exact(self, field):
        decode = field.decoder(random_params(field))
        axes = axes_of(field.sizes)
        whole = decode.on_grid(axes)
        assert decode(points_of(axes)).tobytes() == whole.tobytes()
        some = [axis[1::2] if len(axis) > 2 else axis for axis in axes]
        assert decode(points_of(some)).reshape(*map(len, some), -1).shape == (*map(len, some), field.out_features)

    def test_native_positions_of_long_axes(self):
        n = 1 << 20
        field = Pyramid((n,), 1, (1,), (1,), 1, 0, 0, width=1, residuals=0)
        params = random_params(field)
        decode, first = field.decoder(params), n - 300
        axis = CENTRES.axis(n, n, n, first=first)
        wanted = Synthesis(field, params).window([(first, n)])
        assert decode.on_grid([axis]).tobytes() == decode(axis[:, None]).tobytes() == wanted.tobytes()

    @pytest.mark.parametrize("name", ["1D", "picture", "row", "video"])
    def test_between_samples_it_is_cubic(self, name):
        field = FIELDS[name]
        decode = field.decoder(random_params(field, spread=20))
        samples = decode.on_grid(axes_of(field.sizes)).astype(np.float64)
        points = np.random.default_rng(0).uniform(-1.05, 1.05, (60, len(field.sizes))).astype(np.float32)
        wanted = np.array([interpolated(samples, point) for point in points])
        np.testing.assert_allclose(decode(points), wanted, rtol=1e-6, atol=1e-6 * np.abs(samples).max())

    @pytest.mark.parametrize("name", ["1D", "picture", "row", "video"])
    def test_grids_and_points_are_the_same_bits(self, name):
        field = FIELDS[name]
        decode = field.decoder(random_params(field))
        axes = [CENTRES.axis(n, n, n + 5) for n in field.sizes]
        assert decode.on_grid(axes).tobytes() == decode(points_of(axes)).tobytes()

    def test_a_reduction_is_the_mean_of_boxes(self):
        field = Pyramid.for_grid((24, 35), 3, width=4)
        decode = field.decoder(random_params(field))
        samples = decode.on_grid(axes_of(field.sizes)).astype(np.float64)
        small = decode.on_grid([CENTRES.axis(24, 35, 8), CENTRES.axis(35, 35, 7)])
        wanted = samples.reshape(8, 3, 7, 5, 3).mean((1, 3))
        np.testing.assert_allclose(small, wanted, rtol=1e-6, atol=1e-6)

    def test_a_reduction_between_boxes(self):
        """35 / 10 = 3.5: means of three samples, the last one with its edge replicated, then cubic."""
        field = Pyramid.for_grid((35,), 1, width=4)
        decode = field.decoder(random_params(field))
        samples = decode.on_grid(axes_of(field.sizes))[:, 0].astype(np.float64)
        means = np.append(samples, samples[-1]).reshape(12, 3).mean(1)
        u = ((np.arange(10) + 0.5) * 3.5 - 0.5 - 1) / 3
        wanted = [sum(w * means[min(max(int(x) + k - 1, 0), 11)] for k, w in enumerate(cubic(x - int(x)))) for x in u]
        np.testing.assert_allclose(decode.on_grid([CENTRES.axis(35, 35, 10)])[:, 0], wanted, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize("counts", [(41, 26), (60, 50), (13, 9), (20, 26)])
    def test_tiles_and_threads_do_not_matter(self, counts):
        field = FIELDS["picture"]
        decode = field.decoder(random_params(field))
        axes = [CENTRES.axis(n, n, count) for n, count in zip(field.sizes, counts)]
        whole = decode.on_grid(axes)
        tiled = decode.over(axes)
        with ThreadPoolExecutor(3) as pool:
            rows = list(pool.map(lambda i: tiled.on_grid([axes[0][i : i + 1], axes[1]]), range(counts[0])))
            points = list(pool.map(decode, np.array_split(points_of(axes), 7)))
        assert np.concatenate(rows).tobytes() == whole.tobytes()
        if counts > field.sizes:
            assert np.concatenate(points).tobytes() == whole.tobytes()

    def test_renderings_in_tiles(self):
        """The last tile has one row, whose spacing only the whole grid tells."""
        field = Pyramid.for_grid((37, 40), 1, width=3)
        decode = field.decoder(random_params(field))
        axes = [CENTRES.axis(37, 40, 9), CENTRES.axis(40, 40, 10)]
        whole = decode.on_grid(axes)
        decode.tile = 20
        fields = Fields([decode], 20, 1 << 20)
        assert render(fields, axes, 1, lambda values: values, np.float32).tobytes() == whole.tobytes()

    def test_a_large_window_is_made_in_parts(self, monkeypatch):
        field = FIELDS["picture"]
        params = random_params(field)
        for counts in ((41, 26), (50, 60), (9, 7)):
            axes = [CENTRES.axis(n, n, count) for n, count in zip(field.sizes, counts)]
            whole = field.decoder(params).on_grid(axes)
            parts = Resampled(Synthesis(field, params))
            monkeypatch.setattr(parts, "_most", 50)
            assert parts.on_grid(axes).tobytes() == whole.tobytes()

    def test_no_points(self):
        field = FIELDS["picture"]
        decode = field.decoder(random_params(field))
        assert decode(np.zeros((0, 2), np.float32)).shape == (0, 3)


# -- the field


def test_levels_of_usual_grids():
    def halvings(*sizes):
        return Pyramid.for_grid(sizes, 1).halvings

    assert halvings(512, 768) == (6, 6)
    assert halvings(768, 511) == (6, 5)
    assert halvings(3, 144, 176) == (0, 4, 4)
    assert halvings(1, 100) == (0, 3)
    assert halvings(8, 15, 16, 32) == (1, 1, 1, 2)
    assert halvings(1, 1) == (1, 0)
    assert halvings(5, 7) == (0, 1)
    assert Pyramid.for_grid((512, 768), 3).channels == (3, 1, 1, 1, 1, 1)
    assert Pyramid.for_grid((512, 768), 3, channels=(2,), hidden=8).channels == (2,) * 6
    assert max(halvings(1 << 24, 1)) == 16


def test_sizes_of_levels():
    field = Pyramid((13, 3, 6), 1, (3, 0, 1), (1, 2, 3), 4, 1, 1)
    assert [field.size(level) for level in range(4)] == [(13, 3, 6), (7, 3, 3), (4, 3, 3), (2, 3, 3)]
    assert field.phases == 4
    assert field.halved(0) == (True, False, True)
    assert field.halved(1) == (True, False, False)
    assert list(field.latents.items()) == [
        ("latents.3", (3, 2, 3, 3)),
        ("latents.2", (2, 4, 3, 3)),
        ("latents.1", (1, 7, 3, 3)),
    ]


def test_offsets_are_the_nearest_first():
    assert offsets(1, 4) == [(0,), (-1,), (1,), (-2,), (2,)]
    assert offsets(2, 2)[:5] == [(0, 0), (-1, 0), (0, -1), (0, 1), (1, 0)]
    assert Pyramid.for_grid((64, 64), 1).inputs == 14 + 9 + 1 + 9
    assert Pyramid.for_grid((64, 64, 64), 1).inputs == 16 + 7 + 1 + 7


def test_init_agrees_with_shapes_dtypes_and_count(field):
    params = field.init(np.random.default_rng(0))
    field.check(params)
    assert {name: value.shape for name, value in params.items()} == field.shapes()
    assert sum(value.size for value in params.values()) == field.num_params
    assert sum(value.size for name, value in params.items() if name in field.networks) == field.network_params
    assert field.describe().startswith("pyramid of ")
    mean = np.arange(field.out_features, dtype=np.float32) / 8 - 0.25
    centred = field.decoder(field.centre(params, mean))
    np.testing.assert_array_equal(centred(np.zeros((1, len(field.sizes)), np.float32)), mean[None])
    coords = np.zeros((2, len(field.sizes)), np.float32)
    np.testing.assert_array_equal(field.function(np)(params, coords), field.decoder(params)(coords))


def test_check_names_what_is_wrong():
    field = FIELDS["picture"]
    params = random_params(field)
    for wrong in (
        {name: w for name, w in params.items() if name != "latents.1"},
        params | {"latents.1": params["latents.1"][:, 1:]},
        params | {"latents.1": params["latents.1"].astype(np.int16)},
        params | {"latents.9": params["latents.1"]},
    ):
        with pytest.raises(InputError, match="params"):
            field.check(wrong)


HEADER = [7, 3, [41, 26], [2, 1], [2, 1], 9, 2, 2, 16, 24, 2]


def test_header_round_trip(field):
    header = field.to_header()
    assert Pyramid.from_header(header, field.num_params) == field
    with pytest.raises(LimitError):
        Pyramid.from_header(header, field.num_params - 1)


def test_last_channels_are_not_repeated():
    assert Pyramid.for_grid((512, 768), 3).to_header() == [7, 3, [512, 768], [6, 6], [3, 1], 9, 2, 2, 16, 24, 2]
    assert Pyramid.from_header(HEADER, 1 << 30).channels == (2, 1)


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, 8),
        *((1, value) for value in (0, 65, -1, 1.0, True, [3])),
        *((2, value) for value in ([], [41], [0, 26], [41, (1 << 24) + 1], [1] * 5, [41, 26.0], 41, "41")),
        *((3, value) for value in ([], [2], [0, 0], [-1, 1], [7, 1], [2, 6], [1 << 70, 1], 2)),
        *((4, value) for value in ([], [2, 2], [2, 1, 1], [2, 1, 3], [0, 1], [9], [1.0])),
        *((5, value) for value in (0, 26, -1, None)),
        *((6, value) for value in (-1, 17)),
        *((7, value) for value in (-1, 17)),
        *((8, value) for value in (0, 65)),
        *((9, value) for value in (0, 257, 1 << 70)),
        *((10, value) for value in (-1, 3)),
    ],
)
def test_headers_that_break_the_form_are_refused(position, value):
    with pytest.raises(MalformedError, match="field header"):
        Pyramid.from_header([*HEADER[:position], value, *HEADER[position + 1 :]], 1 << 30)


def test_priors_are_not_known_yet():
    with pytest.raises(UnknownIdError, match="prior 0707"):
        Pyramid.from_header([*HEADER, b"\7" * 16], 1 << 30)


@pytest.mark.parametrize(
    "header", [[], HEADER[:10], [*HEADER, 0], [*HEADER, bytes(15)], [*HEADER, bytes(16), 0], None, b"7777777777777"]
)
def test_headers_of_another_length_are_refused(header):
    with pytest.raises(MalformedError, match="field header"):
        Pyramid.from_header(header, 1 << 30)


def test_latents_are_limited_before_they_are_made():
    with pytest.raises(LimitError):
        Pyramid.from_header([7, 1, [1 << 24] * 4, [1] * 4, [8], 9, 2, 2, 16, 24, 2], 1 << 30)
