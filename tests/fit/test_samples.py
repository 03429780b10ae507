import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from sinr_codec.fit.samples import Batches, BatchesByError, Samples, even_subset  # noqa: E402


class Line:
    in_features, out_features = 1, 2

    def __init__(self, count):
        self.count = count
        self.largest = 0

    def __len__(self):
        return self.count

    def batch(self, index):
        self.largest = max(self.largest, len(index))
        x = (index[:, None] / self.count).astype(np.float32)
        return x, np.concatenate([x**2, 1 - x], 1)

    def loss(self, predicted, values):
        return ((predicted - values) ** 2).mean()


@given(st.integers(1, 10**9), st.integers(1, 500))
def test_batches_are_stratified(samples, size):
    size = min(size, samples)
    drawn = Batches(samples, size, seed=0).draw().numpy()
    edges = np.arange(size + 1) * samples // size
    assert (edges[:-1] <= drawn).all()
    assert (drawn < edges[1:]).all()


def test_batches_reach_every_sample_evenly():
    batches = Batches(100, 7, seed=0)
    counts = np.bincount(np.concatenate([batches.draw().numpy() for _ in range(20000)]), minlength=100)
    assert counts.min() > 0.8 * counts.mean()
    assert counts.max() < 1.2 * counts.mean()


@pytest.mark.parametrize("preload", [0, 1 << 20])
def test_samples_are_the_signals(preload):
    signal = Line(1000)
    samples = Samples(signal, preload_bytes=preload)
    index = np.array([3, 999, 0, 3])
    for got, expected in zip(samples.take(torch.from_numpy(index)), signal.batch(index)):
        np.testing.assert_array_equal(got.numpy(), expected)
    for some in (None, index):
        parts = list(samples.chunks(some, size=300))
        expected = signal.batch(np.arange(1000) if some is None else some)
        for column in (0, 1):
            np.testing.assert_array_equal(torch.cat([p[column] for p in parts]).numpy(), expected[column])


def test_large_signals_are_read_in_pieces():
    signal = Line(10**9)
    samples = Samples(signal)
    coords, _ = samples.take(Batches(len(signal), 64, 0).draw())
    assert coords.shape == (64, 1)
    assert signal.largest == 64


def test_even_subset():
    assert even_subset(10, 10) is None
    assert even_subset(100, 4).tolist() == [0, 25, 50, 75]


def test_batches_by_error_have_the_same_mean():
    """Whatever errors were seen, weighted samples stand for all of them alike."""
    batches = BatchesByError(1000, 50, seed=0)
    truth = torch.linspace(0, 1, 1000) ** 4
    sums, drawn = torch.zeros(1000), torch.zeros(1000)
    for _ in range(4000):
        index = batches.draw()
        assert ((index >= 0) & (index < 1000)).all()
        batches.learn(truth[index])
        sums.index_add_(0, index, batches.weights)
        drawn.index_add_(0, index, torch.ones(50))
    assert float((sums * truth).sum() / (4000 * 50)) == pytest.approx(float(truth.mean()), rel=0.01)
    halves = sums.view(10, 100).sum(1) / (4000 * 5)
    assert halves.numpy() == pytest.approx(np.ones(10), rel=0.03)
    often = drawn.view(10, 100).sum(1)
    assert often[-1] > 2.5 * often[0]
    assert often[0] > 0.45 * 4000 * 5


def test_batches_by_error_take_runs_of_any_number():
    for samples, size in ((1, 1), (65, 64), (129, 7), (10**6, 33)):
        batches = BatchesByError(samples, size, seed=1)
        for _ in range(5):
            index = batches.draw()
            assert ((index >= 0) & (index < samples)).all()
            batches.learn(torch.zeros(size))  # nothing is wrong anywhere
            assert torch.isfinite(batches.weights).all()
