import brotli
import numpy as np

from sinr_codec.methods import coin


def test_half_precision_is_exact_for_what_it_holds(task):
    coded = coin.float16(task)
    for name, w in task.params.items():
        np.testing.assert_array_equal(coded.plan.params[name], w.astype(np.float16).astype(np.float32))
    assert coded.published_bytes == 2 * task.field.num_params


def test_single_precision_loses_nothing(task):
    coded = coin.float32(task)
    for name, w in task.params.items():
        np.testing.assert_array_equal(coded.plan.params[name], w)
    assert coded.published_bytes == 4 * task.field.num_params
    words = b"".join(w.tobytes() for w in task.params.values())
    assert coded.figures["brotli_bytes"] == len(brotli.compress(words))
