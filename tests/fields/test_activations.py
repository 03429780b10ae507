import numpy as np
import pytest
from array_api_compat import numpy as xp

from sinr_codec.errors import InputError
from sinr_codec.fields import Gaussian, ReLU, Sine, Wire
from sinr_codec.fields.activations import activation_from_text, activation_text

Z = np.linspace(-3, 3, 31, dtype=np.float32)


@pytest.mark.parametrize("activation", [Sine(), Gaussian(), Wire(5.0, 0.5), ReLU()])
def test_overwrite_is_call(activation):
    expected = activation(xp, Z)
    assert expected.dtype == (np.complex64 if activation.COMPLEX else np.float32)
    np.testing.assert_array_equal(activation.overwrite(xp, Z.copy()), expected)


def test_wire_on_complex_numbers():
    z = (Z + 0.3j * Z[::-1]).astype(np.complex64)
    expected = np.exp(5j * z - np.abs(0.5 * z) ** 2)
    np.testing.assert_allclose(Wire(5.0, 0.5)(xp, z), expected, rtol=1e-4)


def test_gains():
    assert (Sine(30.0, 60.0).gain(True), Sine(30.0, 60.0).gain(False)) == (60.0, 30.0)
    assert Sine(20.0).gain(True) == 20.0
    assert Gaussian(7.0).gain(False) == 7.0


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf"), "30", True])
def test_refuses(bad):
    for make in (Sine, Gaussian, Wire):
        with pytest.raises(InputError, match="activation"):
            make(bad)


def test_activations_as_text():
    for activation in (Sine(30.0), Sine(25.5, 60.0), Gaussian(0.1), Wire(20.0, 30.0), ReLU()):
        assert activation_from_text(activation_text(activation)) == activation
