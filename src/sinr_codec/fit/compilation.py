"""`torch.compile` where it pays, with a fallback."""

from __future__ import annotations

import getpass
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import torch

logger = logging.getLogger(__name__)

#: Least budgets in seconds for which compilation pays, without and with the cache of an earlier one. On two cores it
#: takes about 15 s and 3 s, and a compiled step takes 0.6 of the time.
COLD_BUDGET: Final = 60.0
WARM_BUDGET: Final = 15.0
#: Multiply-adds per second of a modest CPU. It converts a budget in steps to seconds without a clock, so that the
#: decision is reproducible.
MODEST_CPU: Final = 1e10


def has_compiler() -> bool:
    """Whether there is a C++ compiler, which the CPU backend needs."""
    return any(shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++", "c++") if name)


def marker(key: str) -> Path:
    """File in inductor's cache whose presence tells that `key` was compiled before; it is deleted with the cache."""
    # the same folder as in torch._inductor.runtime.cache_dir_utils, whose import takes a second
    default = Path(tempfile.gettempdir()) / f"torchinductor_{getpass.getuser()}"
    name = hashlib.sha256(f"{torch.__version__} {key}".encode()).hexdigest()[:24]
    return Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or default) / f"sinr-{name}"


def crowd() -> float:
    """Processes that share a core, on the mean of the last minute; at least 1."""
    try:
        return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    except (AttributeError, OSError):  # Windows
        return 1.0


def pays(key: str, *, seconds: float | None, work: float | None, device: str) -> bool:
    """Whether compilation pays for a budget of seconds, or of `work` multiply-adds.

    Seconds on a machine with other work are worth less, and compilation takes more of them.
    """
    if device.startswith("cpu") and not has_compiler():
        return False
    estimates = [None if seconds is None else seconds / crowd(), None if work is None else work / MODEST_CPU]
    budget = min(e for e in estimates if e is not None)
    if budget >= COLD_BUDGET:
        return True
    # a budget in steps must not depend on the cache: compiled and eager steps differ in the last bit
    return seconds is not None and work is None and budget >= WARM_BUDGET and _is_marked(key)


def _is_marked(key: str) -> bool:
    try:
        return marker(key).exists()
    except (KeyError, OSError):  # no name for the user
        return False


def compiled(function: Callable[..., Any], key: str, *example: Any) -> Callable[..., Any] | None:
    """`function`, compiled and tried on the example with a backward pass of its first result; None if it fails."""
    try:
        fast = torch.compile(function, fullgraph=True, dynamic=False)
        fast(*example)[0].backward()
    except Exception as error:  # whatever fails in the compiler, the plain function works
        logger.info("torch.compile failed, going on without it: %s", str(error).partition("\n")[0])
        return None
    try:
        marker(key).touch()
    except (KeyError, OSError):
        logger.debug("could not mark the compilation as cached")
    return fast
