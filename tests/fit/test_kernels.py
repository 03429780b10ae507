import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sinr_codec.fit import kernels  # noqa: E402


def test_sines_are_those_of_torch():
    z = (torch.randn(300, 7, generator=torch.Generator().manual_seed(0)) * 40).requires_grad_()
    fast = kernels.namespace("cpu")
    weights = torch.linspace(-1, 1, 7)
    (slope,) = torch.autograd.grad((fast.sin(z) * weights).sum(), z)
    (expected,) = torch.autograd.grad((torch.sin(z) * weights).sum(), z)
    assert torch.allclose(fast.sin(z), torch.sin(z), rtol=0, atol=1e-6)
    assert torch.allclose(slope, expected, rtol=0, atol=1e-6)
    assert torch.allclose(fast.cos(z.detach()), torch.cos(z), rtol=0, atol=1e-6)
    assert fast.cos(z).requires_grad
    assert fast.exp is not None


def test_other_dtypes_are_torchs_own():
    z = torch.tensor([0.5 + 1j])
    assert torch.equal(kernels.namespace("cpu").sin(z), torch.sin(z))
    assert kernels.namespace("cpu").sin(z.real.double()).dtype == torch.float64


def test_a_fit_that_overflows_is_nan_without_a_warning():
    assert torch.isnan(kernels.namespace("cpu").sin(torch.tensor([np.inf]))).all()


def test_products_stay_exact_while_training_and_the_setting_is_restored():
    x, w = torch.randn(512, 96), torch.randn(96, 96)
    before = torch.backends.mkldnn.matmul.fp32_precision
    with kernels.training(1e6):
        error = (x @ w).double() - x.double() @ w.double()
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    assert float(error.abs().max()) < 1e-4  # bfloat16 would leave some 0.1
