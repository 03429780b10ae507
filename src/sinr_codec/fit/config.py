"""Settings of a fit, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, quoted
from sinr_codec.fields.activations import Gaussian, ReLU, Sine, Wire
from sinr_codec.fields.base import Trainable

Optimizer = Literal["soap", "adam", "muon"]
Schedule = Literal["cosine", "constant"]
Sampling = Literal["even", "error"]

#: Peak learning rates, best for SIRENs of width 128 on photographs over a few thousand steps. A few hundred steps need
#: twice these rates.
DEFAULT_LR: Final[dict[str, float]] = {"soap": 1e-3, "adam": 2e-3, "muon": 5e-3}
#: Factors on the learning rate for other activations, with every optimiser.
ACTIVATION_PACE: Final[dict[type, float]] = {Gaussian: 8.0, Wire: 8.0, ReLU: 16.0}
#: Sine networks narrower than this take a higher rate with SOAP: the ratio of the widths to the power of `NARROW_PACE`,
#: at most `MOST_PACE` (docs/performance.md).
NARROW: Final = 128
NARROW_PACE: Final = 0.5
MOST_PACE: Final = 2.0
#: Steps below which any fit looks like a failure.
LEAST_STEPS: Final = 100


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
        Least factor on the default learning rate, without effect where `lr` is given. Some networks have a higher one.
    steps, seconds
        Budget. With both, the fit ends when the first is spent; with neither, after 2,000 steps. Seconds include
        evaluation, but nothing before the first steps, such as compilation. The schedule follows elapsed time.
    least_steps
        Steps that a fit with a budget in seconds makes whatever the clock says. The schedule then follows them.
    batch
        Samples per step; the whole signal where it has fewer.
    schedule
        Of the learning rate: ``"cosine"``, a short warm-up and a cosine decay to zero, or ``"constant"``.
    sampling
        How batches are drawn: ``"even"``, stratified over the signal, or ``"error"``, by importance sampling in
        proportion to the latest errors.
    seed
        For initial parameters and batches, 0 <= seed < 2^63. The same seed, machine and thread count give the same bits
        when the budget is in steps.
    l1
        Weight of the sum of absolute parameters that is added to the loss (INRIC, section 3.2).
    bits
        Rate: bits per sample for the parameters. The entries of a hash grid become integers (`fit_latents`). Real
        numbers are trained under noise and a rate penalty, so that quantisation to this rate costs little
        (`fit.rated`). None: train for the loss alone.
    quality
        Quality in dB that a pyramid is to have, at the lowest rate; without effect on other fields.
    weight
        Weight of a pyramid's rate against its loss, `fit.pyramid`; without effect on other fields, or with `bits` or
        `quality`. None: the usual one.
    compile
        Use `torch.compile`: ``"auto"`` where a compiler is found and the budget is long enough to pay for it.
    device
        A torch device, such as ``"cpu"`` or ``"cuda"``; `fit` refuses one that cannot be used here.
    checkpoint
        File (safetensors) from which an interrupted fit resumes. It is written every `checkpoint_seconds` and on
        interruption, and removed at the end of the fit unless `keep_checkpoint` is set. A path that cannot be written
        is refused before the fit; a later failure is logged, and the fit continues.
    keep_checkpoint
        Keep the checkpoint at the end. The next fit with these settings then returns this result immediately.

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
    least_steps: int = LEAST_STEPS
    batch: int = 4096
    schedule: Schedule = "cosine"
    sampling: Sampling = "even"
    seed: int = 0
    l1: float = 0.0
    bits: float | None = None
    quality: float | None = None
    weight: float | None = None
    compile: bool | Literal["auto"] = "auto"
    device: str = "cpu"
    checkpoint: Path | None = None
    checkpoint_seconds: float = 60.0
    keep_checkpoint: bool = False

    def __post_init__(self) -> None:
        if self.optimizer not in DEFAULT_LR:
            raise InputError(f"fit: optimizer must be one of {', '.join(DEFAULT_LR)}, got {quoted(self.optimizer)}")
        for name in ("lr", "pace", "steps", "seconds", "batch", "bits", "quality", "weight"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"fit: {name} must be positive, got {quoted(value)}")
        if self.schedule not in ("cosine", "constant"):
            raise InputError(f"fit: schedule must be cosine or constant, got {quoted(self.schedule)}")
        if self.sampling not in ("even", "error"):
            raise InputError(f"fit: sampling must be even or error, got {quoted(self.sampling)}")
        if not self.l1 >= 0:
            raise InputError(f"fit: l1 must not be negative, got {quoted(self.l1)}")
        if not (isinstance(self.seed, int) and 0 <= self.seed < 1 << 63):
            raise InputError(f"fit: seed must be a whole number with 0 <= seed < 2^63, got {quoted(self.seed)}")

    def peak_lr(self, field: Trainable) -> float:
        """The peak learning rate for a field."""
        if self.lr is not None:
            return self.lr
        activation = getattr(field, "activation", None)
        pace = ACTIVATION_PACE.get(type(activation), 1.0)
        mlp = getattr(field, "mlp", None)
        if mlp is not None and isinstance(activation, Sine) and self.optimizer == "soap":
            pace = min(max((NARROW / mlp.width) ** NARROW_PACE, 1.0), MOST_PACE)
        return DEFAULT_LR[self.optimizer] * max(pace, self.pace)

    @property
    def max_steps(self) -> int | None:
        """The budget in steps, None where only seconds bound it."""
        return 2000 if self.steps is None and self.seconds is None else self.steps


@dataclass(frozen=True)
class FitResult:
    """Result of `fit`.

    Attributes
    ----------
    params
        The best parameters seen, NumPy arrays by the field's names.
    loss
        Their mean squared error in the signal's units, over all samples, or over an even subset of 2^20.
    steps, seconds
        Steps of the last attempt, and seconds since the call.
    interrupted
        Stopped by Ctrl-C.
    restarts
        Number of restarts at a lower learning rate after divergence.
    failed
        Whether the loss is no better than that of the signal's mean, although the signal is not flat.
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
