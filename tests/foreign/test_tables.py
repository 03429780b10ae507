"""Networks from tables: what a description may say, and one line for what it may not."""

import json

import numpy as np
import pytest

from sinr_codec.errors import InputError
from sinr_codec.foreign.chain import Chain
from sinr_codec.foreign.tables import network_from_table


def layers(*sizes, prefix=""):
    """Affine layers under numbered names: sizes (in, out)."""
    weights = {f"{prefix}{i}.weight": np.zeros((out, fan_in), np.float32) for i, (fan_in, out) in enumerate(sizes)}
    return weights | {f"{prefix}{i}.bias": np.zeros(out, np.float32) for i, (_, out) in enumerate(sizes)}


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (5, "table"),
        ({}, "activation"),
        ({"activation": "tanh"}, "sine, gaussian, wire, relu"),
        ({"activation": "sine:fast"}, "sine:30"),
        ({"activation": "sine:-1"}, "omega0"),
        ({"activation": 30}, "activation"),
        ({"activation": "relu", "colour": 1}, "colour"),
        ({"activation": "relu", "kind": "transformer"}, "kind"),
        ({"activation": "relu", "prefix": 3}, "prefix"),
        ({"activation": "relu", "prefix": "none."}, "none."),
        ({"activation": "relu", "layers": []}, "layers"),
        ({"activation": "relu", "layers": ["0", "7"]}, "7.weight"),
        ({"activation": "relu", "layers": ["0", 7]}, "layers"),
        ({"activation": "relu", "layers": [["0.bias"]]}, "matrix"),
        ({"activation": "relu", "layers": ["1", "0"]}, "0.weight"),
        ({"activation": "relu", "transposed": "yes", "layers": ["0"]}, "true or false"),
        ({"activation": "relu", "transposed": True}, "transposed"),
        ({"activation": "relu", "output": "tanh"}, "output"),
        ({"activation": "relu", "skip": True}, "skip"),
        ({"activation": "relu", "domain": [1, -1]}, "domain"),
        ({"activation": "relu", "domain": [[0, 1]] * 3}, "domain"),
        ({"activation": "relu", "domain": "all"}, "domain"),
        ({"activation": "relu", "encoding": 7}, "encoding"),
        ({"activation": "relu", "encoding": {"octaves": 7}}, "features"),
        ({"activation": "relu", "encoding": {"octaves": -1}}, "octaves"),
        ({"activation": "relu", "encoding": {"octaves": 1, "sigma": 2}}, "sigma"),
        ({"activation": "relu", "encoding": {"matrix": "0.bias"}}, "matrix"),
        ({"activation": "wire:5,5"}, "complex"),
        ({"kind": "nerf"}, "pts_linears.0"),
        ({"kind": "nerf", "activation": "relu"}, "activation"),
    ],
)
def test_wrong_descriptions_are_one_line(table, word):
    with pytest.raises(InputError) as caught:
        network_from_table(table, layers((2, 8), (8, 1)))
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_description_says_everything():
    state = layers((10, 8), (8, 4), (14, 3), prefix="a.") | {"a.other.weight": np.zeros((3, 3), np.float32)}
    table = {
        "prefix": "a.",
        "layers": ["0", "1", "2"],
        "activation": "sine:30,60",
        "encoding": {"octaves": 2},
        "domain": [[0, 1], [-2, 2.5]],
    }
    chain = network_from_table(table, state)
    assert isinstance(chain, Chain)
    assert network_from_table(json.loads(json.dumps(chain.to_table())), state) == chain
    assert "10 features of 2" in chain.describe()
