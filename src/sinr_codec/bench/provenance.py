"""What experiments and benchmarks write beside their numbers: command, commit, machine and versions."""

import contextlib
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sinr_codec.types import JsonObject


def machine() -> str:
    """Processor, cores and system in one line."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    return f"{model}, {len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"


def commit() -> str:
    """The commit of the checkout, with + where it was changed since; empty where there is no checkout."""
    root = Path(__file__).parents[3]

    def git(*args: str) -> str:
        return subprocess.run(("git", *args), cwd=root, capture_output=True, text=True, check=False).stdout.strip()

    if not (root / ".git").exists() or not shutil.which("git"):
        return ""
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "benchmarks")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")


def seconds(call: Callable[[], Any], repeat: int = 1) -> tuple[float, Any]:
    """Best wall time of `repeat` calls, and the last result."""
    best, result = float("inf"), None
    for _ in range(repeat):
        start = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - start)
    return best, result


def versions() -> dict[str, str]:
    """What is installed of the packages that matter to the numbers."""
    found = {}
    codecs = ("imagecodecs", "soundfile", "av", "DracoPy", "pillow")
    for package in ("numpy", "torch", "scikit-learn", *codecs, "sinr-codec"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def provenance() -> JsonObject:
    """Command, commit, date, machine and versions, ready for JSON."""
    return {
        "command": shlex.join(["sinr", *sys.argv[1:]] if Path(sys.argv[0]).name == "sinr" else ["python", *sys.argv]),
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(),
    }


def write_report(path: Path | None, name: str, results: object) -> None:
    """Write the results as JSON, if there is a path."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"name": name, **provenance(), "results": results}, indent=1) + "\n")
