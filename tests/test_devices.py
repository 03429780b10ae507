import pytest

from sinr_codec.devices import CPU, check_device, has_float64, is_cpu
from sinr_codec.errors import InputError


def test_the_cpu_needs_no_library():
    for name in (CPU, "cpu:0"):
        assert is_cpu(name)
        check_device(name)
        assert not has_float64(name)  # which is asked of accelerators


def test_a_device_that_is_none_is_refused():
    pytest.importorskip("torch")
    assert not is_cpu("nonsense")
    for function in (check_device, has_float64):
        with pytest.raises(InputError, match=r"device: 'nonsense' cannot be used .*; take cpu"):
            function("nonsense")
    with pytest.raises(InputError, match="device: expected the name of one"):
        check_device(3)


def test_a_device_on_which_nothing_is_computed_is_refused():
    pytest.importorskip("torch")
    with pytest.raises(InputError, match="device: 'meta' cannot be used"):
        check_device("meta")
