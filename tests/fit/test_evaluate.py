"""The loss of a field over a whole signal."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sinr_codec.fields import MLP  # noqa: E402
from sinr_codec.fit import Evaluator, evaluate  # noqa: E402
from sinr_codec.fit.samples import Samples  # noqa: E402


class Line:
    in_features, out_features = 1, 2

    def __init__(self, count):
        self.count = count
        self.read = 0

    def __len__(self):
        return self.count

    def batch(self, index):
        self.read += len(index)
        x = (index[:, None] / self.count).astype(np.float32)
        return x, np.concatenate([x**2, 1 - x], 1)

    def loss(self, predicted, values):
        return ((predicted - values) ** 2).mean()


def test_evaluate_on_some_samples():
    signal, field = Line(20_000), MLP(1, 2, 8, 1)
    params = field.init(np.random.default_rng(0))
    coords, values = signal.batch(np.arange(len(signal)))
    errors = ((field.apply(params, coords) - values).astype(np.float64) ** 2).mean(1)
    index = np.arange(5, 20_000, 7)
    assert evaluate(field, params, signal) == pytest.approx(errors.mean(), rel=1e-5)
    assert evaluate(field, params, signal, index) == pytest.approx(errors[index].mean(), rel=1e-5)
    evaluator = Evaluator(field, signal)
    assert evaluator(params) == evaluator({n: torch.from_numpy(v) for n, v in params.items()})


def test_samples_are_read_once():
    signal, field = Line(1000), MLP(1, 2, 8, 1)
    evaluator = Evaluator(field, signal)
    losses = [evaluator(field.init(np.random.default_rng(seed))) for seed in (0, 1, 0)]
    assert signal.read == 1000
    assert losses[0] == losses[2] != losses[1]


def test_samples_that_were_read_are_taken():
    signal, field = Line(1000), MLP(1, 2, 8, 1)
    params = field.init(np.random.default_rng(0))
    shared = Evaluator(field, signal, samples=Samples(signal))
    assert signal.read == 1000
    assert shared(params) == evaluate(field, params, signal)
