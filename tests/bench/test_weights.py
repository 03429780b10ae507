"""How Gaussian trained weights are."""

import numpy as np
import pytest

from sinr_codec.bench import weights


def test_a_normal_sample_passes_and_others_do_not() -> None:
    rng = np.random.default_rng(1)
    normal = weights.describe(rng.normal(3.0, 0.1, 4096))
    assert normal["normal_p"] > weights.LEVEL
    assert normal["anderson"] < 1.035
    assert abs(normal["gap"]) < 0.02
    laplace = weights.describe(rng.laplace(0.0, 0.1, 4096))
    assert laplace["normal_p"] < 1e-6
    assert laplace["anderson"] > 5
    assert laplace["kurtosis"] > 2
    assert laplace["gap"] == pytest.approx(0.1044, abs=0.03)  # log2 sqrt(2 pi e) - log2(2 e / sqrt 2)
    uniform = weights.describe(rng.uniform(-1, 1, 4096))
    assert uniform["gap"] == pytest.approx(np.log2(np.sqrt(2 * np.pi * np.e)) - np.log2(np.sqrt(12)), abs=0.03)
    assert sum(uniform["histogram"]) == 4096
