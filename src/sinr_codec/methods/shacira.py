"""SHACIRA (Girish, Shrivastava, Gupta 2023): a multi-resolution hash grid of quantised latents before a small network.

Written from the paper's description. Latents are integers in the file, since the affine maps that decode them are
merged into the network's first layer. The network is quantised and coded, too; the authors leave it at 32 bits.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, cast

from sinr_codec.coding.assembled import assemble
from sinr_codec.coding.tensor import Coding, Direct, Raw, is_lossy
from sinr_codec.errors import InputError
from sinr_codec.fields import FAMILIES, Field, HashGrid, RadianceGrid, ReLU
from sinr_codec.fields.base import LatentGrid
from sinr_codec.fields.sizes import grid_of
from sinr_codec.methods.base import PROBE_SAMPLES, Coded, Task, Training
from sinr_codec.planning.paper import PAPER_BITS, PAPER_K2, plan_paper
from sinr_codec.planning.plan import plan
from sinr_codec.signals.base import Spec
from sinr_codec.types import Params

PUBLISHED_LEVELS: Final = 24
PUBLISHED_TABLE: Final = 1 << 11
PUBLISHED_CELLS: Final = (16, 512)
MAX_DROP: Final = 0.02
"""Allowed loss in dB for the coding of the network, which is a small part of the bytes."""


def grid(spec: Spec, bits: float, width: int | None = None, depth: int | None = None) -> Field:
    """The hash grid for a signal at a rate of `bits` per sample.

    Raises
    ------
    InputError
        The signal has more than three coordinates, and is no scene.
    """
    scene = spec.KIND == "radiance"
    if spec.in_features > 3 and not scene:
        raise InputError(f"method shacira: expected a signal of at most 3 coordinates, found {spec.in_features}")
    sized = FAMILIES[RadianceGrid.ID if scene else HashGrid.ID].sized
    assert sized is not None
    return sized(spec, bits, width, depth)


def published_grid(spec: Spec, bits: float, width: int | None = None, depth: int | None = None) -> HashGrid:
    """The authors' grid for pictures at any rate: 24 levels of 16 to 512 cells, at most 2,048 entries each."""
    first, last = PUBLISHED_CELLS
    ratio = (last / first) ** (1 / (PUBLISHED_LEVELS - 1))
    cells = tuple(round(first * ratio**level) for level in range(PUBLISHED_LEVELS))
    return grid_of(spec, cells, PUBLISHED_TABLE, (), width, depth)


#: The published training takes 60,000 steps on the whole picture. Rays are too many for one step.
GRID: Final = Training(
    "shacira",
    ReLU(),
    network=grid,
    fit={
        "fast": {"steps": 300, "batch": 1 << 16},
        "balanced": {"steps": 1000, "batch": 1 << 16},
        "best": {"steps": 4000, "batch": 1 << 16},
        "paper": {"steps": 60_000, "batch": 1 << 16},
        "radiance": {"batch": 4096},
    },
)
PUBLISHED_GRID: Final = replace(GRID, name="shacira-24", network=published_grid)


def latents(task: Task) -> Coded:
    """Lossless latents, and a network quantised by the planner within 0.02 dB."""
    return _planned(task)


def _planned(task: Task, dictionaries: tuple[int, ...] = (), sparse_only: bool = False) -> Coded:
    tables, network = _parts(task)
    whole = task.error(PROBE_SAMPLES)

    def error(params: Params) -> float:
        return whole({**tables, **params})

    search = partial(plan, network, error, dictionaries=dictionaries, sparse_only=sparse_only, seed=task.seed)
    limit = replace(task, max_drop=min(task.max_drop, MAX_DROP)).limit(error(network))
    coded = search(limit, progress=task.progress.update)
    left = task.field.network_params  # bytes: what the fit leaves for the network
    if coded.bytes > left and not sparse_only:
        coded = search(limit, max_bytes=left, progress=task.progress.update)
    return _together(task, {**_tables(task), **coded.codings}, coded.codes)


def latents_sinr_planned(task: Task) -> Coded:
    """Lossless latents, and hidden matrices of the network as sparse codes under our coder."""
    return _planned(task, dictionaries=(PAPER_K2,), sparse_only=True)


def latents_minmax(task: Task) -> Coded:
    """Latents and network by 16-bit min-max quantisation and Brotli, the protocol of SINR's paper."""
    return _published(task, {name: Direct(bits=PAPER_BITS, paper=True) for name in _parts(task)[1]})


def latents_sinr(task: Task) -> Coded:
    """The same, with all matrices of the network coded by SINR as published."""
    coded = plan_paper(_parts(task)[1], task.seed, device=task.device)
    return _published(task, coded.codings, coded.codes)


def latents_sinr_hidden(task: Task) -> Coded:
    """The same, with only the hidden matrices coded by SINR."""
    coded = plan_paper(_parts(task)[1], task.seed, hidden=True, device=task.device)
    return _published(task, coded.codings, coded.codes)


def _published(task: Task, codings: Mapping[str, Any], codes: Mapping[str, Any] | None = None) -> Coded:
    tables: dict[str, Coding] = {
        name: Direct(bits=PAPER_BITS, paper=True) if is_lossy(w) else Raw() for name, w in _parts(task)[0].items()
    }
    return _together(task, {**tables, **codings}, codes)


def _tables(task: Task) -> dict[str, Direct]:
    return cast(LatentGrid, task.field).tables


def _parts(task: Task) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tables, and the network's parameters."""
    names = _tables(task)
    tables = {name: w for name, w in task.params.items() if name in names}
    return tables, {name: w for name, w in task.params.items() if name not in names}


def _together(task: Task, codings: Mapping[str, Any], codes: Mapping[str, Any] | None = None) -> Coded:
    """The plan of all parameters, with the bytes of the latents and of the network as figures."""
    whole = assemble(task.params, dict(codings), codes)
    of_tables = sum(len(whole.records[name]) for name in _parts(task)[0])
    return Coded(whole, figures={"latent_bytes": of_tables, "network_bytes": whole.bytes - of_tables})
