"""Plots of the report."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sinr_codec.bench.plots import _apart, rate_distortion
from sinr_codec.bench.rows import Row


def test_labels_keep_apart_and_in_order() -> None:
    crowded = [1.0, 0.5, 0.51, 0.52, 3.0]
    placed = _apart(crowded, 1.1)
    assert all(after >= 1.1 * before * (1 - 1e-9) for before, after in pairwise(placed))
    assert placed[-1] == pytest.approx(3.0)  # what has room stays
    assert np.mean(np.log(placed[:3])) == pytest.approx(np.mean(np.log([0.5, 0.51, 0.52])))
    assert _apart([], 1.1) == []


def test_a_plot_is_the_same_file_every_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [
        Row("direct", "Direct", "own", f"3x{n}", 2, n * n, n * n, n / 16, None, 20 + n / 8, 0.1, 0.5, {})
        for n in (8, 16, 32)
    ]
    rows.append(Row("jpeg", "JPEG", "classical", "1bpp", 2, None, 99.0, 1.0, None, float("inf"), None, None, {}))
    files = [
        rate_distortion("c1", "image", "PSNR", some, tmp_path / f"{number}.png")
        for number, some in enumerate((rows, rows, rows[:2]))
    ]
    first, again, fewer = (path.read_bytes() for path in files)
    assert first == again != fewer
    with Image.open(files[0]) as picture:
        assert min(picture.size) > 300
