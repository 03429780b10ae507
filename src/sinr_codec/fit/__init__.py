"""Parameters of a field from a signal, with torch: loop, optimisers, checkpoints, evaluation."""

from importlib.util import find_spec as _find_spec

from sinr_codec.errors import MissingExtraError

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise MissingExtraError("fitting needs torch: pip install 'sinr-codec[fit]'") from error
if _find_spec("pytorch_optimizer") is None:  # only looked for: its import takes seconds, and only soap needs it
    raise MissingExtraError("fitting needs pytorch-optimizer: pip install 'sinr-codec[fit]'")

from sinr_codec.fit.config import DEFAULT_LR, FitConfig, FitResult, Optimizer
from sinr_codec.fit.evaluate import Evaluator, evaluate
from sinr_codec.fit.latents import fit_latents
from sinr_codec.fit.loop import fit
from sinr_codec.fit.many import fit_many

__all__ = [
    "DEFAULT_LR",
    "Evaluator",
    "FitConfig",
    "FitResult",
    "Optimizer",
    "evaluate",
    "fit",
    "fit_latents",
    "fit_many",
]
