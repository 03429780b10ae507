"""When `torch.compile` pays, and how to do without it."""

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

#: Least budgets in seconds that earn a compilation back, without and with the cache of an earlier one. On two
#: cores it takes some 15 s and some 3 s; a compiled step then takes about 0.6 of the time.
COLD_BUDGET: Final = 60.0
WARM_BUDGET: Final = 15.0
#: Multiply-adds a second on a modest CPU, to turn a budget of steps into seconds without a clock, and so the same
#: way every time.
MODEST_CPU: Final = 1e10


def has_compiler() -> bool:
    """Whether a C++ compiler, which the CPU backend needs, is found."""
    return any(shutil.which(name) for name in (os.environ.get("CXX"), "g++", "clang++", "c++") if name)


def marker(key: str) -> Path:
    """File inside inductor's cache that tells that `key` was compiled before; it goes when the cache goes."""
    # as torch._inductor.runtime.cache_dir_utils has it, but importing that takes a second
    default = Path(tempfile.gettempdir()) / f"torchinductor_{getpass.getuser()}"
    name = hashlib.sha256(f"{torch.__version__} {key}".encode()).hexdigest()[:24]
    return Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or default) / f"sinr-{name}"


def pays(key: str, *, seconds: float | None, work: float | None, device: str) -> bool:
    """Whether a budget of seconds, or of `work` multiply-adds, is long enough to pay for the compilation."""
    if device.startswith("cpu") and not has_compiler():
        return False
    estimates = [seconds, None if work is None else work / MODEST_CPU]
    budget = min(e for e in estimates if e is not None)
    if budget >= COLD_BUDGET:
        return True
    # a budget of steps must not depend on what is cached: compiled and eager steps differ in the last bit
    return seconds is not None and work is None and budget >= WARM_BUDGET and _is_marked(key)


def _is_marked(key: str) -> bool:
    try:
        return marker(key).exists()
    except (KeyError, OSError):  # no name for the user
        return False


def compiled(function: Callable[..., Any], key: str, *example: Any) -> Callable[..., Any] | None:
    """`function` compiled and tried on the example, with a backward pass of its first result; None where it fails."""
    try:
        fast = torch.compile(function, fullgraph=True, dynamic=False)
        fast(*example)[0].backward()
    except Exception as error:  # whatever breaks in a compiler, the plain function still works
        logger.info("torch.compile failed, going on without it: %s", str(error).partition("\n")[0])
        return None
    try:
        marker(key).touch()
    except (KeyError, OSError):
        logger.debug("could not mark the compilation as cached")
    return fast
