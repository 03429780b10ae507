"""Fast float32 sines and matrix products on a CPU, by libraries that are installed anyway; fits side by side.

With AVX-512, NumPy's sine takes 0.4 of the time of PyTorch's. PyTorch multiplies by MKL unless it may round to
bfloat16. Then it uses oneDNN, which does not round on a processor without a unit for such products, and takes half of
MKL's time on AMD processors. On processors with such a unit (AMX) nothing is changed, since coordinates must not be
rounded (docs/performance.md).
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, TypeVar

import numpy as np
import torch
from array_api_compat import torch as xtorch
from torch import Tensor

from sinr_codec.fit.threads import one_thread, threads_for
from sinr_codec.tiles import map_tiles

R = TypeVar("R")


class _Sine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return _by_numpy(np.sin, z)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (z,) = ctx.saved_tensors
        return _by_numpy(np.cos, z).mul_(gradients[0])


def _by_numpy(function: np.ufunc, z: Tensor) -> Tensor:
    out = torch.empty_like(z)
    with np.errstate(invalid="ignore"):  # of a fit that diverges
        function(z.detach().numpy(), out=out.numpy())
    return out


class _Namespace:
    """`array_api_compat.torch` with faster sines, which have no second derivatives."""

    def __getattr__(self, name: str) -> Any:
        return getattr(xtorch, name)

    @staticmethod
    def sin(z: Tensor) -> Tensor:
        """The sine."""
        result: Tensor = _Sine.apply(z) if z.dtype == torch.float32 else torch.sin(z)
        return result

    @staticmethod
    def cos(z: Tensor) -> Tensor:
        """The cosine, which encodings apply to coordinates."""
        return _by_numpy(np.cos, z) if z.dtype == torch.float32 and not z.requires_grad else torch.cos(z)


_NAMESPACE: Final = _Namespace()


def namespace(device: str) -> Any:
    """The array namespace for fields that are trained on a device without compilation."""
    return _NAMESPACE if torch.device(device).type == "cpu" else xtorch


@contextmanager
def training(work: float) -> Iterator[None]:
    """Settings for steps of `work` multiply-adds per forward pass: threads, and the library for products."""
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    if not _rounds():
        matmul.fp32_precision = "bf16"
    try:
        with threads_for(work):
            yield
    finally:
        matmul.fp32_precision = before


def side_by_side(work: Callable[[int], R], count: int, threads: int) -> Iterator[R]:
    """``work(0), ..., work(count - 1)`` in order, `threads` at a time, with one core each.

    Python runs in one thread at a time, but most of a step is sines and products outside of it. On two cores, fits of
    3x34 are 1.6 times as fast as in sequence, and those of 3x80 twice as fast, with the same results.
    """

    def alone(number: int) -> R:
        one_thread()
        return work(number)

    allowed = torch.get_num_threads()
    try:
        # Outermost, so that all threads set and restore the same settings.
        with training(0):
            yield from map_tiles(alone, range(count), threads)
    finally:
        torch.set_num_threads(allowed)


@cache
def _rounds() -> bool:
    """Whether products permitted to round to bfloat16 do."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return not x86 or torch.cpu._is_amx_tile_supported()
