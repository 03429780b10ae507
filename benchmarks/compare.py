"""Ratios that benchmarks have written against those of the last commit; tells which got worse beyond noise.

    python benchmarks/compare.py results/omp.json results/decode.json ...

Seconds depend on the machine; what is compared are ratios of two things in one run, and sizes. Ends with code 1 where
one is worse by more than a quarter of its value.
"""

import argparse
import json
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

SLACK = 1.25
_BLOCKS = {"sizes.*.encode.beyond_mb": "less", "sizes.*.decode.beyond_mb": "less", "sizes.*.region_share": "less"}
GUARDED = {
    "omp": {"*.ratio": "more", "*.equal_supports": "more"},
    "decode": {
        "over_products.render": "less",
        "over_products.file": "less",
        "torch_over_render": "more",
        "pyramid.*over*": "less",
    },
    "fit": {"ratios.*": "less"},
    "size": {"rows.*_ratio": "less"},
    "network": {"ratio": "less"},
    "blocks": _BLOCKS,
    "blocks-volume": _BLOCKS,
}
"""By report: paths of the numbers, and which way is better."""


def numbers(results: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, float]]:
    """All numbers of a report by their paths, such as "rows.0.ratio"."""
    if isinstance(results, dict | list):
        for key, value in results.items() if isinstance(results, dict) else enumerate(results):
            yield from numbers(value, (*path, str(key)))
    elif isinstance(results, int | float) and not isinstance(results, bool):
        yield ".".join(path), float(results)


def committed(path: Path) -> dict[str, Any] | None:
    """A report as the last commit has it, if it has it."""
    shown = subprocess.run(
        ("git", "show", f"HEAD:./{path.name}"), cwd=path.parent, capture_output=True, text=True, check=False
    )
    return json.loads(shown.stdout) if shown.returncode == 0 else None


def compare(new: dict[str, Any], old: dict[str, Any]) -> Iterator[tuple[str, float, float, float]]:
    """(path, old, new, how many times as good) of each number that both have and that is guarded."""
    before = dict(numbers(old["results"]))
    for path, value in numbers(new["results"]):
        better = next((way for pattern, way in GUARDED.get(new["name"], {}).items() if fnmatch(path, pattern)), None)
        if better is not None and before.get(path) and value:
            yield path, before[path], value, value / before[path] if better == "more" else before[path] / value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("reports", nargs="*", type=Path, metavar="FILE", help="what benchmarks wrote with --json")
    worse = 0
    for path in parser.parse_args().reports:
        old = committed(path)
        if old is None or not path.exists():
            print(f"{path}: nothing to compare with")
            continue
        new = json.loads(path.read_text())
        for name, before, now, gain in compare(new, old):
            bad = gain * SLACK < 1
            worse += bad
            print(f"{path.stem} {name}: {before:.4g} -> {now:.4g}{', worse' if bad else ''}")
    if worse:
        raise SystemExit(f"{worse} ratio(s) worse than those of the last commit by more than {SLACK - 1:.0%}")


if __name__ == "__main__":
    main()
