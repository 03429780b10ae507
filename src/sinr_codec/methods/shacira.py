"""SHACIRA (Girish, Shrivastava, Gupta 2023): a multi-resolution hash grid of quantised latents before a small network.

Written from the paper's description. Latents are integers in the file, as the affine maps that decode them are part of
the network's first layer; the network itself is quantised and coded as well, which the authors leave at 32 bits.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sinr_codec.coding.plan import assemble, plan, plan_paper
from sinr_codec.errors import InputError
from sinr_codec.fields import HashGrid, ReLU
from sinr_codec.methods.base import PROBE_SAMPLES, Coded, Params, Task, Training
from sinr_codec.packed import NO_LOSS

WIDTH, DEPTH = 16, 1
"""Two ReLU layers of 16, as the authors have for pictures."""
TABLE = 1 << 18
"""Entries of a level. A level that is not hashed is coded in the context of its neighbours, which saves a quarter."""
COARSEST = 8
"""Cells of the coarsest level, at least; every level has twice as many as the one before."""
PUBLISHED_LEVELS, PUBLISHED_TABLE, PUBLISHED_CELLS = 24, 1 << 11, (16, 512)
MAX_DROP = 0.02
"""dB that the coding of the network may lose: it takes few of the bytes."""


def grid(spec: Any, bits: float, width: int | None = None, depth: int | None = None) -> HashGrid:
    """The hash grid for a signal in so many bits a sample: the more bits, the finer.

    Raises
    ------
    InputError
        The signal has more than three coordinates.
    """
    axes = _axes(spec)
    # Cells that are worth their bits cover some bits^-1/a samples an axis each.
    finest = max(axes) * min(1.0, (FINEST * bits) ** (1 / len(axes)))
    levels = max(1, 1 + round(math.log2(max(finest / COARSEST, 1))))
    cells = tuple(max(1, round(finest / 2 ** (levels - 1 - level))) for level in range(levels))
    return _field(spec, cells, TABLE, axes, width, depth)


def published_grid(spec: Any, bits: float, width: int | None = None, depth: int | None = None) -> HashGrid:
    """The authors' grid for pictures, whatever the bits: 24 levels of 16 to 512 cells, at most 2,048 entries each."""
    first, last = PUBLISHED_CELLS
    ratio = (last / first) ** (1 / (PUBLISHED_LEVELS - 1))
    cells = tuple(round(first * ratio**level) for level in range(PUBLISHED_LEVELS))
    return _field(spec, cells, PUBLISHED_TABLE, (), width, depth)


FINEST = 0.5
"""Finest cells a sample and bit, from kodim05 and kodim19 at 0.2 to 0.4 bits a pixel."""


def _axes(spec: Any) -> tuple[int, ...]:
    """Samples of a signal along its axes."""
    if spec.in_features > 3:
        raise InputError(f"method shacira: expected a signal of at most 3 coordinates, found {spec.in_features}")
    shape = tuple(int(n) for n in spec.describe()["shape"][: spec.in_features])
    return (
        shape if len(shape) == spec.in_features else (round(spec.samples ** (1 / spec.in_features)),) * spec.in_features
    )


def _field(
    spec: Any, cells: tuple[int, ...], table: int, axes: tuple[int, ...], width: int | None, depth: int | None
) -> HashGrid:
    divisor = math.gcd(*axes) if axes else 1
    extent = tuple(n // divisor for n in axes) if len(set(axes)) > 1 else ()
    hidden = DEPTH if depth is None else depth
    return HashGrid(spec.in_features, spec.out_features, cells, table, 1, width or WIDTH, hidden, extent)


#: 60,000 steps over the whole picture; it takes an hour on a GPU.
GRID = Training(
    "shacira",
    ReLU(),
    network=grid,
    fit={"fast": {"steps": 300}, "balanced": {"steps": 1000}, "best": {"steps": 4000}, "paper": {"steps": 60_000}},
)
PUBLISHED_GRID = replace(GRID, name="shacira-24", network=published_grid)


def latents(task: Task) -> Coded:
    """Latents without loss, the network quantised by the planner within 0.02 dB."""
    tables, network = _parts(task)
    whole = task.error(PROBE_SAMPLES)

    def error(params: Params) -> float:
        return whole({**tables, **params})

    base = max(error(network), NO_LOSS)
    limit = replace(task, max_drop=min(task.max_drop, MAX_DROP)).limit(base)
    coded = plan(network, error, limit, dictionaries=(), seed=task.seed, progress=task.progress.update)
    return _together(task, coded.codings)


def latents_sinr(task: Task) -> Coded:
    """Latents without loss, the hidden matrices of the network by SINR as published, the rest of it in 16 bits."""
    _, network = _parts(task)
    coded = plan_paper(network, task.seed, hidden=True)
    return _together(task, coded.codings, coded.codes)


def _parts(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tables, and the network's parameters."""
    names = task.field.network.shapes()  # type: ignore[attr-defined]
    tables = {name: w for name, w in task.params.items() if name not in names}
    return tables, {name: task.params[name] for name in names}


def _together(task: Task, codings: Mapping[str, Any], codes: Mapping[str, Any] | None = None) -> Coded:
    """The plan of all parameters, with the bytes of the latents and of the network as figures."""
    field = task.field
    assert isinstance(field, HashGrid)
    tables = {name: field.coding(level) for level, name in enumerate(_parts(task)[0])}
    whole = assemble(task.params, {**tables, **codings}, codes)
    of_tables = sum(len(whole.records[name]) for name in tables)
    return Coded(whole, figures={"latent_bytes": of_tables, "network_bytes": whole.bytes - of_tables})
