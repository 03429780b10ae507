"""Parameters of a field from a signal, with torch: loop, optimisers, checkpoints, evaluation."""

from sinr_codec.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("fitting needs torch: pip install 'sinr-codec[fit]'") from error

from sinr_codec.fit.config import DEFAULT_LR, FitConfig, FitResult, Optimizer
from sinr_codec.fit.evaluate import Evaluator, evaluate
from sinr_codec.fit.loop import fit

__all__ = ["DEFAULT_LR", "Evaluator", "FitConfig", "FitResult", "Optimizer", "evaluate", "fit"]
