"""Trained networks on disk, under the hash of what they were made from."""

import numpy as np

from sinr_codec.bench.fits import content_key


def test_content_keys_tell_everything_apart() -> None:
    array = np.arange(4, dtype=np.float32)
    keys = [
        content_key(array),
        content_key(array.reshape(2, 2)),
        content_key(array.astype(np.float64)),
        content_key("a", "bc"),
        content_key("ab", "c"),
        content_key(b"ab", "c"),
    ]
    assert len(set(keys)) == len(keys)
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
