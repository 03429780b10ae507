"""A small network and its picture, for tests of single methods."""

import numpy as np
import pytest
from PIL import Image

from sinr_codec.fields import MLP, Sine
from sinr_codec.methods.base import Task
from sinr_codec.signals import registry


@pytest.fixture(scope="session")
def task():
    """A network of width 12, fitted a little to a picture of 24 x 16."""
    pytest.importorskip("torch")
    from sinr_codec.fit import FitConfig, fit

    y, x = np.mgrid[:16, :24] / 24
    picture = np.uint8(120 + 80 * np.stack([np.sin(5 * x) * y, np.cos(4 * (x + y)), x - y], -1))
    (part,) = registry.load(Image.fromarray(picture), "image").parts
    field = MLP(2, 3, 12, 2, Sine(15.0))
    config = FitConfig(optimizer="adam", lr=1e-2, steps=60, batch=384, compile=False)
    return Task(field, fit(field, part, config).params, part, effort=0.02)
