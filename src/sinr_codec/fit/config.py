"""What to fit with, and what a fit gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError
from sinr_codec.fields.activations import Gaussian, ReLU, Sine, Wire
from sinr_codec.fields.base import Trainable
from sinr_codec.fields.mlp import MLP

Optimizer = Literal["soap", "adam", "muon"]
Schedule = Literal["cosine", "constant"]
Sampling = Literal["even", "error"]

#: Best for SIRENs of width 128 on photographs over some thousand steps; a few hundred want twice as much.
DEFAULT_LR: dict[str, float] = {"soap": 1e-3, "adam": 2e-3, "muon": 5e-3}
#: Times as much for other activations, with every optimiser, and exponent with which SOAP takes more for sine networks
#: that are narrower than this, up to so many times (docs/performance.md).
ACTIVATION_PACE: dict[type, float] = {Gaussian: 8.0, Wire: 8.0, ReLU: 16.0}
NARROW, NARROW_PACE, MOST_PACE = 128, 0.5, 2.0


@dataclass(frozen=True)
class FitConfig:
    """Settings of `fit`.

    Parameters
    ----------
    optimizer
        ``"soap"`` (Vyas et al. 2024; ahead in short fits, level with the others in long ones), ``"adam"``, or
        ``"muon"`` (Jordan 2024, on hidden matrices, Adam on the rest; refused where no hidden matrix is real).
    lr
        Peak learning rate; None for what suits optimiser and activation, see `DEFAULT_LR`.
    pace
        Least factor on the optimiser's learning rate where `lr` gives none: some networks take more anyway.
    steps, seconds
        Budget. With both, whichever is spent first; with none, 2,000 steps. Seconds count everything,
        compilation and evaluation included, and drive the schedule by elapsed time.
    batch
        Samples a step; the whole signal where it is smaller.
    schedule
        Of the learning rate: ``"cosine"``, a short ramp and half a cosine to zero, or ``"constant"``.
    sampling
        How batches are drawn: ``"even"``, all over the signal, or ``"error"``, with more of what the network has wrong.
    seed
        For initial parameters and batches, 0 <= seed < 2^63. The same seed, machine and thread count give the same bits
        when the budget is in steps.
    l1
        Weight of the sum of absolute parameters that is added to the loss (INRIC, section 3.2).
    bits
        Bits a sample that the parameters may take. The entries of a hash grid become integers (`fit_latents`); real
        numbers are trained under noise and a penalty so that they lose little when they are quantised to so many bits
        (`fit.rated`). None: train for the loss alone.
    compile
        Use `torch.compile`: ``"auto"`` where a compiler is found and the budget is long enough to pay for it.
    device
        A torch device, such as ``"cpu"`` or ``"cuda"``; `fit` refuses one that cannot be used here.
    checkpoint
        File (safetensors) from which an interrupted fit goes on, written every `checkpoint_seconds` and when
        interrupted, and removed when the fit has run to its end, unless it is to be kept. One that cannot be written is
        refused before the fit; one that fails later is logged, and the fit goes on without it.
    keep_checkpoint
        Leave the checkpoint at the end, too: the next fit with these settings is this one, at once.

    Raises
    ------
    InputError
        A setting outside its range.
    """

    optimizer: Optimizer = "soap"
    lr: float | None = None
    pace: float = 1.0
    steps: int | None = None
    seconds: float | None = None
    batch: int = 4096
    schedule: Schedule = "cosine"
    sampling: Sampling = "even"
    seed: int = 0
    l1: float = 0.0
    bits: float | None = None
    compile: bool | Literal["auto"] = "auto"
    device: str = "cpu"
    checkpoint: Path | None = None
    checkpoint_seconds: float = 60.0
    keep_checkpoint: bool = False

    def __post_init__(self) -> None:
        if self.optimizer not in DEFAULT_LR:
            raise InputError(f"fit: optimizer must be one of {', '.join(DEFAULT_LR)}, got {self.optimizer!r}")
        for name in ("lr", "pace", "steps", "seconds", "batch", "bits"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"fit: {name} must be positive, got {value!r}")
        if self.schedule not in ("cosine", "constant"):
            raise InputError(f"fit: schedule must be cosine or constant, got {self.schedule!r}")
        if self.sampling not in ("even", "error"):
            raise InputError(f"fit: sampling must be even or error, got {self.sampling!r}")
        if not self.l1 >= 0:
            raise InputError(f"fit: l1 must not be negative, got {self.l1!r}")
        if not (isinstance(self.seed, int) and 0 <= self.seed < 1 << 63):
            raise InputError(f"fit: seed must be a whole number with 0 <= seed < 2^63, got {self.seed!r}")

    def peak_lr(self, field: Trainable) -> float:
        """The learning rate to start with."""
        if self.lr is not None:
            return self.lr
        activation = getattr(field, "activation", None)
        pace = ACTIVATION_PACE.get(type(activation), 1.0)
        if isinstance(field, MLP) and isinstance(activation, Sine) and self.optimizer == "soap":
            pace = min(max((NARROW / field.width) ** NARROW_PACE, 1.0), MOST_PACE)
        return DEFAULT_LR[self.optimizer] * max(pace, self.pace)

    @property
    def max_steps(self) -> int | None:
        """The budget in steps, None where only seconds bound it."""
        return 2000 if self.steps is None and self.seconds is None else self.steps


@dataclass(frozen=True)
class FitResult:
    """What `fit` gives.

    Attributes
    ----------
    params
        The best parameters seen, NumPy arrays by the names of the field.
    loss
        Their mean squared error in the signal's units, over all samples or, of a signal of more than 2^20, over
        an even subset of that many.
    steps, seconds
        Steps of the last run and seconds since the call.
    interrupted
        Stopped by Ctrl-C.
    restarts
        Times that it began anew with a lower learning rate because it diverged.
    failed
        Whether the loss is no less than that of the signal's mean, although the signal is not flat: the network
        says nothing of the signal.
    compiled
        Whether `torch.compile` was used.
    """

    params: dict[str, NDArray[np.float32] | NDArray[Any]]
    loss: float
    steps: int
    seconds: float
    interrupted: bool
    restarts: int
    failed: bool
    compiled: bool
