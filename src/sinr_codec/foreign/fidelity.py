"""How close the outputs of a compressed network are to those of the old one, or to a signal."""

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from sinr_codec.container import Header
from sinr_codec.errors import InputError
from sinr_codec.evaluators import tile_of
from sinr_codec.fields import field_from_header
from sinr_codec.foreign.chain import Chain
from sinr_codec.foreign.checkpoints import read_checkpoint
from sinr_codec.foreign.headers import is_assumed, single_mlp, tables_in
from sinr_codec.foreign.recognise import described, recognise
from sinr_codec.foreign.tables import Network
from sinr_codec.quality import decibels
from sinr_codec.signals import registry
from sinr_codec.signals.base import Part
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array, Params

_MOST_POINTS: Final = 1 << 16  # at which the planner compares outputs
_LEAST_POINTS: Final = 1 << 11
_POINT_WEIGHTS: Final = 1 << 34  # points times weights of one comparison: seconds on one core
_CHECK: Final = 4  # times as many points, and others, tell the fidelity of the finished file


def signal_for(networks: list[Network], signal: object) -> Part:
    """The samples of a signal for the one chain that was found.

    Raises
    ------
    InputError
        There is not one chain, or it has other numbers of coordinates or values than the signal.
    """
    if len(networks) != 1 or not isinstance(networks[0], Chain):
        raise InputError(f"signal: expected one known chain of layers to compare with it, found {len(networks)}")
    (network,) = networks
    parts = registry.load(signal).parts
    if len(parts) != 1:
        raise InputError(f"signal: expected one that a single network holds, found one of {len(parts)} blocks")
    (part,) = parts
    if (network.in_features, network.out_features) != (part.in_features, part.out_features):
        raise InputError(
            f"signal: expected {network.in_features} coordinates and {network.out_features} values, as the "
            f"network has, found {part.in_features} and {part.out_features}"
        )
    return part


def signal_loss(network: Network, part: Part, state: Params) -> float:
    """The loss of a network on a signal."""
    return part.objective(None, 0)(network.function(state), tile_of(network))


def fidelity_loss(
    network: Network, state: Params, check: bool = False, times: float = 1.0
) -> Callable[[Params], float]:
    """Mean squared difference of a network's outputs from those of `state`, over the square of the peak.

    With `check` at more points, and others, than those that a plan was made with.
    """
    work = network.POINTS * sum(state[name].size for name in network.names)
    count = int(times * min(max(_POINT_WEIGHTS // work, _LEAST_POINTS), _MOST_POINTS))
    points = _points(network.in_features, _CHECK * count, count) if check else _points(network.in_features, count)
    wanted = _evaluate(network, state, points).astype(np.float64)
    peak = network.peak or float(np.ptp(wanted)) or 1.0

    def loss(candidate: Params) -> float:
        got = _evaluate(network, candidate, points)
        with np.errstate(all="ignore"):
            return float(np.mean((got - wanted) ** 2)) / peak**2

    return loss


def _evaluate(network: Network, state: Params, points: Array) -> Array:
    tile = tile_of(network)
    tiles = (points[i : i + tile] for i in range(0, len(points), tile))
    return np.concatenate(list(map_tiles(network.function(state), tiles)))


def _points(dimensions: int, samples: int, after: int = 0) -> Array:
    """Cover [-1, 1]^a evenly with about `samples` points: cell centres up to a = 2, a Kronecker sequence beyond.

    The sequence begins behind its first `after` points.
    """
    if dimensions <= 2:
        side = round(samples ** (1 / dimensions))
        axis = (2 * np.arange(side) + 1) / side - 1
        return np.stack(np.meshgrid(*[axis] * dimensions, indexing="ij"), -1).reshape(-1, dimensions).astype(np.float32)
    # The root of x^(a+1) = x + 1 gives the a-dimensional golden ratio, whose multiples spread evenly.
    root = 2.0
    for _ in range(64):
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    numbers = np.arange(after + 1, after + samples + 1)[:, None]
    return (2 * ((0.5 + numbers * steps) % 1) - 1).astype(np.float32)


def compare_networks(header: Header, against: object, new: Params) -> tuple[float, str]:
    """Least fidelity in dB of the networks that a file knows, or else the SNR in dB of the worst tensor.

    Raises
    ------
    InputError
        `against` is not the model that was compressed: its keys or shapes are others.
    """
    checkpoint = read_checkpoint(against)
    if checkpoint.state.keys() != new.keys():
        checkpoint = read_checkpoint(against, keep_optimiser=True)
    old = checkpoint.state
    if {name: w.shape for name, w in old.items()} != {name: w.shape for name, w in new.items()}:
        raise InputError("against: expected the network that was compressed; its keys or shapes are others")
    networks = _recorded(header, {name: w for name, w in old.items() if name not in checkpoint.optimiser})
    if networks:
        fidelities = [decibels(fidelity_loss(network, old, check=True)(new)) for network in networks]
        what = "fidelity" if len(networks) == 1 else f"least fidelity of {len(networks)} networks"
        return min(fidelities), f"{what}, if the activation is as assumed" if is_assumed(header) else what
    return min((_weight_snr(old[name], new[name]) for name in old), default=math.inf), "weight SNR of the worst tensor"


def _recorded(header: Header, state: Params) -> list[Network]:
    """The networks that a file says it holds."""
    tables = tables_in(header)
    if tables is not None:
        return [one.network for one in described(state, tables)]
    if header.field is None:
        return []
    field = field_from_header(header.field)
    networks = [one.network for one in recognise(state, getattr(field, "activation", None))]
    return networks if single_mlp(networks) == field else []


def _weight_snr(old: Array, new: Array) -> float:
    """SNR in dB of a tensor; scaled first, so that no square overflows."""
    kind = np.complex128 if old.dtype.kind == "c" else np.float64
    wide, other = old.astype(kind), new.astype(kind)
    if np.array_equal(wide, other, equal_nan=True):
        return math.inf
    scale = float(np.abs(wide).max())
    if not 0 < scale < math.inf:
        return -math.inf
    wide, other = wide / scale, other / scale
    return 10 * math.log10(float(np.sum(np.abs(wide) ** 2)) / float(np.sum(np.abs(wide - other) ** 2)))
