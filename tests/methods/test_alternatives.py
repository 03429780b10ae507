from dataclasses import replace

import numpy as np
import pytest

from sinr_codec.errors import InputError
from sinr_codec.methods import alternatives


@pytest.mark.parametrize("share", [0.3, 0.7])
def test_the_smallest_weights_become_and_stay_zero(task, share):
    pruned = alternatives.Pruned(share)(task)
    names = [name for name in pruned if name.endswith("weight")]
    zero = np.concatenate([(pruned[name] == 0).ravel() for name in names])
    size = np.concatenate([np.abs(task.params[name]).ravel() for name in names])
    assert zero.mean() == pytest.approx(share, abs=0.01)
    assert size[zero].max() <= size[~zero].min()
    assert any(not np.array_equal(pruned[name], task.params[name] * (pruned[name] != 0)) for name in names)  # trained


def test_neurons_are_removed_with_their_columns(task):
    pruned = task.with_params(alternatives.Pruned(0.25, neurons=True)(task))
    assert pruned.field == replace(task.field, width=9)
    pruned.field.check(pruned.params)


def test_a_layer_keeps_a_neuron(task):
    with pytest.raises(InputError, match="leave none"):
        alternatives.Pruned(0.999, neurons=True)(task)


def test_an_l1_penalty_has_a_training_of_its_own():
    training = alternatives.l1(1e-5)
    assert (training.name, training.l1) == ("sine-l1-1e-05", 1e-5)


@pytest.mark.parametrize(
    "learn", [alternatives.DictionaryLearning(20), alternatives.PrincipalComponents(0.5)], ids=["dictionary", "pca"]
)
def test_learned_atoms_span_the_vectors(learn):
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((16, 3)) @ rng.standard_normal((3, 60))
    atoms, s = learn(vectors)
    assert atoms.shape[0] == 16
    assert 1 <= s <= atoms.shape[1]
    left = vectors - atoms @ np.linalg.lstsq(atoms, vectors, rcond=None)[0]
    assert np.linalg.norm(left) < 0.05 * np.linalg.norm(vectors)
