"""Loss of a field over a whole signal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sinr_codec.fields.base import Trainable
from sinr_codec.fit import kernels
from sinr_codec.fit.samples import Samples, weighted_mean
from sinr_codec.signals.base import Part


class Evaluator:
    """``evaluator(params) -> mean squared error``; the samples are read only once.

    Parameters
    ----------
    index
        Sample numbers, int64 (n,); None for all.
    device
        A torch device.
    samples
        The samples of the signal, if they are already loaded.
    """

    def __init__(
        self,
        field: Trainable,
        signal: Part,
        index: NDArray[np.int64] | None = None,
        device: str = "cpu",
        samples: Samples | None = None,
    ) -> None:
        self.signal = signal
        self.device = device
        self._index = index
        self._samples = samples or Samples(signal, device)
        self._function = field.function(kernels.namespace(device), torch.device(device))

    def __call__(self, params: Mapping[str, Any]) -> float:
        """Loss of parameters (NumPy arrays or torch tensors)."""
        tensors = {name: torch.as_tensor(value, device=self.device) for name, value in params.items()}
        with torch.inference_mode():
            return weighted_mean(
                [
                    (self.signal.loss(self._function(tensors, coords), values), len(coords))
                    for coords, values in self._samples.chunks(self._index)
                ]
            )


def evaluate(
    field: Trainable,
    params: Mapping[str, Any],
    signal: Part,
    index: NDArray[np.int64] | None = None,
    device: str = "cpu",
) -> float:
    """Mean squared error of a field over all samples of a signal, or over those in `index`.

    For several evaluations, use an `Evaluator`.
    """
    return Evaluator(field, signal, index, device)(params)
