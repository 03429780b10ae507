"""Sines and matrix products of float32 on a CPU, by the fastest library that is there; and fits side by side.

NumPy's sines take 0.4 of the time of PyTorch's where a processor has AVX-512. And PyTorch multiplies by MKL unless it
may round to bfloat16; then it asks oneDNN, which does not round where a processor has no unit for such products, and
takes half of MKL's time on AMD's. Where there is a unit (AMX), all is left as it is: coordinates do not bear to be
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
    """`array_api_compat.torch` with other sines; they have no second derivatives."""

    def __getattr__(self, name: str) -> Any:
        return getattr(xtorch, name)

    @staticmethod
    def sin(z: Tensor) -> Tensor:
        """The sine."""
        result: Tensor = _Sine.apply(z) if z.dtype == torch.float32 else torch.sin(z)
        return result

    @staticmethod
    def cos(z: Tensor) -> Tensor:
        """The cosine, which encodings take of coordinates."""
        return _by_numpy(np.cos, z) if z.dtype == torch.float32 and not z.requires_grad else torch.cos(z)


_NAMESPACE: Final = _Namespace()


def namespace(device: str) -> Any:
    """The array namespace in which fields are trained on a device, once and not compiled."""
    return _NAMESPACE if torch.device(device).type == "cpu" else xtorch


@contextmanager
def training(work: float) -> Iterator[None]:
    """The surroundings of steps of `work` multiply-adds a forward pass: threads, and who multiplies."""
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
    """``work(0), ..., work(count - 1)`` in order, as many at a time as there are threads, with one core each.

    Python runs in one thread at a time, but most of a step are sines and products, which do not need it: on two cores
    fits of 3x34 are 1.6 times as fast as one after the other, those of 3x80 twice, with the same results.
    """

    def alone(number: int) -> R:
        one_thread()
        return work(number)

    allowed = torch.get_num_threads()
    try:
        # Outermost, so that what each of them sets and sets back is the same.
        with training(0):
            yield from map_tiles(alone, range(count), threads)
    finally:
        torch.set_num_threads(allowed)


@cache
def _rounds() -> bool:
    """Whether products really become less exact where they may."""
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return not x86 or torch.cpu._is_amx_tile_supported()
