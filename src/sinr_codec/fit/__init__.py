"""Parameters of a field from a signal, with torch: loop, optimisers, checkpoints, evaluation."""

import os

from ..errors import MissingExtraError

# Threads that spin while they wait for each other slow a step down many times over when another process needs the
# core. The runtime reads this when torch is loaded; who loads torch before, or sets it, keeps what they have.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("fitting needs torch: pip install 'sinr-codec[fit]'") from error

from .config import DEFAULT_LR, FitConfig, FitResult, Optimizer
from .evaluate import Evaluator, evaluate
from .loop import fit

__all__ = ["DEFAULT_LR", "Evaluator", "FitConfig", "FitResult", "Optimizer", "evaluate", "fit"]
