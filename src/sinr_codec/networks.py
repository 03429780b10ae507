"""Networks that somebody trained: in as tensors, out as a file that gives back the same keys, shapes and dtypes."""

import dataclasses
import json
import math
import os
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sinr_codec.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from sinr_codec.coding.assembled import Plan
from sinr_codec.coding.dtypes import is_float
from sinr_codec.container import BASE, DEFAULT_LIMITS, FIELD, STATE, Header, Limits, TensorEntry, write
from sinr_codec.devices import CPU, check_device
from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.fields import MLP, field_from_header
from sinr_codec.fields.activations import activation_text
from sinr_codec.fields.foreign import Chain, Network, layers_under
from sinr_codec.fields.recognise import Recognised, described, recognise
from sinr_codec.files import check_output, write_bytes
from sinr_codec.packed import (
    NO_LOSS,
    VERIFY_SLACK,
    CodedNetwork,
    Source,
    check_activation,
    check_positive,
    check_replaceable,
    check_seed,
    coded_networks,
    decibels,
    field_params,
    hundredths,
    load_source,
    naming,
    only,
    section_bytes,
    tensors_of,
    tile_of,
)
from sinr_codec.planning.paper import baseline_bytes, plan_paper
from sinr_codec.planning.plan import plan, plan_by_weights
from sinr_codec.presets import Preset, preset_named
from sinr_codec.progress import NullProgress, Progress
from sinr_codec.signals import registry
from sinr_codec.signals.base import Part
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array, Params, PathLike

MAX_DROP = 0.1
"""dB that coding may cost on a signal."""
FIDELITY = 46.0
"""dB that a compressed network's outputs keep to the old ones; costs a fit of 30 dB about 0.1 dB."""

_MOST_POINTS, _LEAST_POINTS = 1 << 16, 1 << 11  # that the planner compares outputs at
_POINT_WEIGHTS = 1 << 34  # points times weights of one comparison: seconds on one core
_CHECK = 4  # times as many points, and others, tell the fidelity of the finished file
_PLANS, _COARSER = 5, 3  # attempts to keep the fidelity at those; after so many, more of it than was asked for is well
_NEAR = 0.3  # dB above it that are near enough

_NETWORKS, _CONTAINERS, _VALUES = "networks", "containers", "values"  # keys of a header's `extra`

Description = PathLike | Mapping[str, Any] | Sequence[Mapping[str, Any]]
State = Mapping[str, Array]
Blob = bytes


# -- compress --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NetworkReport:
    """One network of a compressed file.

    Attributes
    ----------
    name
        What its tensors' keys begin with.
    network
        The architecture, in words.
    weights, bytes
        Numbers in its tensors, and what they take in the file.
    fidelity
        Measured PSNR in dB of its decoded outputs against the old ones.
    compared
        Which outputs, where, and the peak, in words.
    """

    name: str
    network: str
    weights: int
    bytes: int
    fidelity: float
    compared: str


@dataclass(frozen=True)
class CompressReport:
    """What `compress_report` made.

    Attributes
    ----------
    path
        Where the file was written, or None.
    bytes
        Size of the file.
    weights
        Numbers in all tensors.
    baseline_bytes
        The same tensors at 16 bits, min-max quantised, through Brotli: what the SINR paper codes for everybody.
    fidelity
        The least of the networks' fidelities; None where no network is known.
    networks
        One report for each network that was compressed.
    exact
        Numbers that are kept bit by bit, because they are part of no known network.
    psnr
        Of the decoded network against the signal, where one was given.
    criterion
        What bounded the loss, in words.
    field
        The architecture, where there is one network and it is an `MLP`.
    seconds, notes, sections, blob
        As in `EncodeReport`.
    """

    path: Path | None
    bytes: int
    weights: int
    baseline_bytes: int
    fidelity: float | None
    networks: tuple[NetworkReport, ...]
    exact: int
    psnr: float | None
    criterion: str
    field: MLP | None
    seconds: float
    notes: tuple[str, ...]
    sections: dict[str, int]
    blob: Blob = dataclasses.field(repr=False)


def compress(model: Any, out: PathLike | None = None, **options: Any) -> bytes:
    """Compress trained coordinate networks; see `compress_report` for the options. Returns the file's bytes."""
    return compress_report(model, out, **options).blob


def compress_report(
    model: Any,
    out: PathLike | None = None,
    *,
    preset: str = "balanced",
    fidelity: float = FIDELITY,
    signal: Any = None,
    max_drop: float = MAX_DROP,
    activation: Any = None,
    describe: Description | None = None,
    weights_snr: float | None = None,
    keep_optimiser: bool = False,
    seed: int = 0,
    device: str = CPU,
    progress: Progress | None = None,
) -> CompressReport:
    """Compress trained coordinate networks into a `.sinr` file that gives back the same keys, shapes and dtypes.

    Each network whose function is known keeps a fidelity of its outputs: those that are recognised from keys, shapes
    and weights (with `activation` where these do not tell), or those that are described. With a signal it is `max_drop`
    of the quality on it. All other tensors are kept bit by bit.

    Parameters
    ----------
    model
        A file (.safetensors, .npz, or .pt, .pth, .ckpt read weights only), a torch module or a state dict.
    out
        File to write.
    preset
        "fast", "balanced", "best" or "paper".
    fidelity
        PSNR in dB of the new outputs against the old ones; `NetworkReport.compared` says which and where.
    signal
        What the network was trained on, in the codec's own coordinates.
    max_drop
        dB of quality on the signal that coding may cost.
    activation
        A `fields` activation, where it cannot be recognised.
    describe
        What the networks are, instead of recognising them: a .toml or .json file, or a table
        `{"network": [{...}, ...]}` (docs/guide/networks.md).
    weights_snr
        Code the tensors of no known network as well, with so many dB of SNR of the weights of each: nobody can say
        what that does to the outputs.
    keep_optimiser
        Keep the optimiser's tensors, bit by bit.
    seed
        Of the dictionaries.
    device
        Where pursuits in large dictionaries work: "cpu", "cuda", ...
    progress
        Listens to the work.

    Raises
    ------
    InputError : a model, a description, a signal or an argument that cannot be used
    """
    start = time.perf_counter()
    if out is not None:
        check_output(out, model)
        check_replaceable(out)
    check_positive("fidelity", fidelity)
    check_positive("max_drop", max_drop)
    if weights_snr is not None:
        check_positive("weights_snr", weights_snr)
    check_seed(seed)
    check_activation(activation)
    check_device(device)
    recipe = preset_named(preset)
    progress = progress or NullProgress()
    checkpoint = read_checkpoint(model, keep_optimiser)
    state, notes = checkpoint.state, list(checkpoint.skipped)
    networks, told = [], set[str]()
    for one in _known(checkpoint, activation, describe):
        finite = all(np.isfinite(state[name]).all() for name in one.network.names)
        notes.append(one.reason if finite else f"{one.reason}; kept bit by bit, since its weights are not all finite")
        networks += [one.network] if finite else []
        told.update(() if finite else one.network.names)
    part = None if signal is None else _signal_for(networks, signal)
    header = _header(checkpoint, networks, described=describe is not None)
    write(header, [])  # refuses what the format cannot hold before the work begins

    progress.start("code", 0)
    plans: list[Plan] = []
    reports: list[NetworkReport] = []
    for network in networks:
        check = _fidelity_loss(network, state, check=True)
        rounding = None if recipe.rounding is None else _rounding(network, state, part, recipe.rounding, seed)
        code = partial(_plan, network, state, recipe, rounding, part, max_drop, seed, device, progress.update)
        aim, tried = fidelity, []
        for _ in range(_PLANS):
            planned = code(10 ** (-aim / 10))
            reached = decibels(check({**state, **planned.params}))
            tried.append((planned, reached))
            over = reached - fidelity
            good = over >= -VERIFY_SLACK and (over <= _NEAR or len(tried) >= _COARSER)
            if good or recipe.paper or part is not None:
                break
            aim -= over  # the planner's points were easier than most, or harder
        kept = [(one, db) for one, db in tried if db >= fidelity - VERIFY_SLACK]
        planned, reached = min(kept, key=lambda one: one[0].bytes) if kept else max(tried, key=lambda one: one[1])
        if not (kept or recipe.paper or part is not None):
            notes.append(f"{network.prefix or 'network'}: a fidelity of {fidelity:g} dB was missed: {reached:.2f} dB")
        weights = sum(state[name].size for name in network.names)
        plans.append(planned)
        reports.append(
            NetworkReport(network.prefix, network.describe(), weights, planned.bytes, reached, network.compared)
        )
    taken = {name for network in networks for name in network.names}
    rest = {name: tensor for name, tensor in state.items() if name not in taken}
    coded = {name: w for name, w in rest.items() if weights_snr is not None and name not in checkpoint.optimiser}
    if weights_snr is not None:
        plans.append(plan_by_weights(coded, weights_snr))
    exact = {name: w for name, w in rest.items() if name not in coded}
    plans.append(plan(exact, lambda _: 0.0, 1.0, exact=exact.keys()))
    chosen = _merged(plans, state)
    notes += _left_alone(exact.keys() - checkpoint.optimiser - told, state)

    measured = min((report.fidelity for report in reports), default=None)
    header = replace(header, quality=None if measured is None else hundredths(measured))
    blob = write(header, [b"".join(chosen.records.values())])
    if out is not None:
        write_bytes(out, blob)
    criterion = (
        "as published: 16-bit values, s from the width"
        if recipe.paper and networks
        else f"at most {max_drop:g} dB on the signal"
        if part is not None
        else f"a fidelity of {fidelity:g} dB"
        if networks
        else "every bit"
    )
    if coded:
        criterion = f"a weight SNR of {weights_snr:g} dB" + (f" elsewhere; {criterion}" if networks else "")
    return CompressReport(
        path=Path(out) if out is not None else None,
        bytes=len(blob),
        weights=sum(tensor.size for tensor in state.values()),
        baseline_bytes=baseline_bytes(state),
        fidelity=measured,
        networks=tuple(reports),
        exact=sum(tensor.size for tensor in exact.values()),
        psnr=None if part is None else decibels(_signal_loss(networks[0], part, chosen.params)),
        criterion=criterion,
        field=_single_mlp(networks),
        seconds=time.perf_counter() - start,
        notes=tuple(notes),
        sections=section_bytes(chosen, blob),
        blob=blob,
    )


def _known(checkpoint: Checkpoint, activation: Any, description: Description | None) -> list[Recognised]:
    state = {name: w for name, w in checkpoint.state.items() if name not in checkpoint.optimiser}
    if description is None:
        return recognise(state, activation)
    if activation is not None:
        raise InputError("activation: expected either a description or an activation; the description names its own")
    name, tables = _tables(description)
    try:
        return described(state, tables)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


def _header(checkpoint: Checkpoint, networks: list[Network], described: bool) -> Header:
    """The header of a state dict, with what `verify` and a torch file need."""
    mlp = _single_mlp(networks)
    extra: dict[str, Any] = {}
    if networks and (described or mlp is None):
        extra[_NETWORKS] = [network.to_table() for network in networks]
    if checkpoint.containers:
        extra[_CONTAINERS] = dict(checkpoint.containers)
    if checkpoint.values:
        extra[_VALUES] = {name: _listed(value) for name, value in checkpoint.values.items()}
    entries = [TensorEntry(name, tensor.shape, tensor.dtype) for name, tensor in checkpoint.state.items()]
    return Header(STATE, field=None if mlp is None else mlp.to_header(), tensors=entries, extra=extra or None)


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def _single_mlp(networks: list[Network]) -> MLP | None:
    if len(networks) != 1 or not isinstance(networks[0], Chain):
        return None
    return networks[0].mlp()


def _plan(
    network: Network,
    state: State,
    recipe: Preset,
    rounding: Any,
    part: Part | None,
    max_drop: float,
    seed: int,
    device: str,
    progress: Callable[[int, str], None],
    limit: float,
) -> Plan:
    """How the tensors of one network are coded."""
    tensors = {name: state[name] for name in network.names}
    if recipe.paper:
        return plan_paper(tensors, seed, device=device)
    loss: Callable[[State], float]
    probe: Callable[[State], float] | None = None
    if part is None:
        # The function of a network may need more than is coded: the matrix of an encoding.
        # Most of the difference of a scene lies in one ray of five hundred: all that tell the fidelity are needed.
        compare = _fidelity_loss(network, state, check=network.POINTS > 1)
        loss = lambda candidate: compare({**state, **candidate})  # noqa: E731
        if network.POINTS > 1:  # a ray is many points: fewer tell how sensitive the tensors are
            few = _fidelity_loss(network, state, times=1 / 8)
            probe = lambda candidate: few({**state, **candidate})  # noqa: E731
    else:
        loss = lambda candidate: _signal_loss(network, part, {**state, **candidate})  # noqa: E731
        limit = max(loss(tensors), NO_LOSS) * 10 ** (max_drop / 10)
    settings: dict[str, Any] = {
        "dictionaries": recipe.dictionaries,
        "seed": seed,
        "device": device,
        "progress": progress,
    }
    if rounding is not None:
        # A scene's error lies in so few rays that no batch of them tells where to go (docs/verdict.md).
        rounds = rounding.effort.steps and network.POINTS == 1
        settings |= {"felt": rounding.felt(tensors), "rounder": rounding if rounds else None}
    return plan(tensors, loss, limit, probe=probe, **settings)


def _rounding(network: Network, state: State, part: Part | None, effort: Mapping[str, int], seed: int) -> Any:
    """Rounding for a network's outputs, at the samples of its signal or all over its domain; None without torch."""
    try:
        import torch

        from sinr_codec.fit import kernels
        from sinr_codec.fit.rounding import Effort, Rounding, single
    except (ImportError, MissingExtraError):
        return None
    # What is used and not coded, such as the matrix of an encoding, is among them.
    constants = {name: torch.from_numpy(single(w)) for name, w in state.items() if is_float(w.dtype)}

    namespace = kernels.namespace("cpu")

    def function(tensors: Mapping[str, Any], points: Array) -> Any:
        return network.function({**constants, **tensors}, namespace)(points)

    def draw(count: int, generator: torch.Generator) -> Array:
        if part is None:
            points: Array = torch.rand(count, network.in_features, generator=generator).numpy() * 2 - 1
            return points
        return part.batch(torch.randint(len(part), (count,), generator=generator).sort().values.numpy())[0]

    settings = {**effort, "batch": max(Effort.batch // network.POINTS, 64)}
    return Rounding(function, draw, Effort(**settings), seed)


def _merged(plans: Sequence[Plan], state: State) -> Plan:
    """One plan of several, in the order of the state."""

    def merged(name: str) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        for one in plans:
            parts |= getattr(one, name)
        return {key: parts[key] for key in state}

    return Plan(merged("codings"), merged("records"), merged("params"))


def _left_alone(names: Any, state: State) -> list[str]:
    """A note where weights of an unknown network stay as they are."""
    large = [name for name in names if state[name].size > 1 and state[name].dtype.kind not in "iub"]
    if not large:
        return []
    numbers = sum(state[name].size for name in large)
    return [
        f"{len(large)} tensors with {numbers:,} numbers are part of no known network and were kept bit by bit; "
        "describe it to compress them"
    ]


# -- fidelity --------------------------------------------------------------------------------------------------


def _signal_for(networks: list[Network], signal: Any) -> Part:
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


def _signal_loss(network: Network, part: Part, state: State) -> float:
    return part.objective(None, 0)(network.function(state), tile_of(network))


def _fidelity_loss(network: Network, state: State, check: bool = False, times: float = 1.0) -> Callable[[State], float]:
    """Mean squared difference of a network's outputs from those of `state`, over the square of the peak.

    With `check` at more points, and others, than those that a plan was made with.
    """
    work = network.POINTS * sum(state[name].size for name in network.names)
    count = int(times * min(max(_POINT_WEIGHTS // work, _LEAST_POINTS), _MOST_POINTS))
    points = _points(network.in_features, _CHECK * count, count) if check else _points(network.in_features, count)
    wanted = _evaluate(network, state, points).astype(np.float64)
    peak = network.peak or float(np.ptp(wanted)) or 1.0

    def loss(candidate: State) -> float:
        got = _evaluate(network, candidate, points)
        with np.errstate(all="ignore"):
            return float(np.mean((got - wanted) ** 2)) / peak**2

    return loss


def _evaluate(network: Network, state: State, points: Array) -> Array:
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


def compare_networks(header: Header, against: Any, new: Params) -> tuple[float, str]:
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
        fidelities = [decibels(_fidelity_loss(network, old, check=True)(new)) for network in networks]
        return min(fidelities), "fidelity" if len(networks) == 1 else f"least fidelity of {len(networks)} networks"
    return min((_weight_snr(old[name], new[name]) for name in old), default=math.inf), "weight SNR of the worst tensor"


def network_names(header: Header) -> list[str]:
    """Kind and prefix, such as "nerf fine.", of each network that a file says it holds beside its `field`."""
    tables = (header.extra or {}).get(_NETWORKS)
    tables = [table for table in tables if isinstance(table, dict)] if isinstance(tables, list) else []
    return [f"{table.get('kind', Chain.KIND)!s:.40} {table.get('prefix', '')!s:.200}".strip() for table in tables]


def _recorded(header: Header, state: State) -> list[Network]:
    """The networks that a file says it holds."""
    tables = (header.extra or {}).get(_NETWORKS)
    if isinstance(tables, list):
        return [one.network for one in described(state, tables)]
    if header.field is None:
        return []
    field = field_from_header(header.field)
    networks = [one.network for one in recognise(state, getattr(field, "activation", None))]
    return networks if _single_mlp(networks) == field else []


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


# -- decompress ------------------------------------------------------------------------------------------------


def decompress(source: Source, out: PathLike | None = None, *, limits: Limits = DEFAULT_LIMITS) -> dict[str, Array]:
    """Give back the tensors of a compressed network: the same keys in the same order, shapes and dtypes.

    `out` names a .safetensors, .npz, .pt, .pth or .ckpt file to write; a torch file gets the nesting of the dicts that
    were compressed, and the plain values in them. A file of a signal gives its field's weights.
    """
    if out is not None:
        check_output(out, source)
    header, sections = load_source(source, limits)
    with naming(source):
        state = state_of(header, sections, limits)
    if out is not None:
        write_checkpoint(state, out, **_surroundings(header))
    return state


def _surroundings(header: Header) -> dict[str, Any]:
    """Nesting and values from a header; a file may hold nonsense there, which counts as nothing."""
    extra = header.extra or {} if header.kind == STATE else {}
    maps = {name: extra.get(name) for name in (_CONTAINERS, _VALUES)}
    return {
        name: {key: value for key, value in found.items() if isinstance(key, str)} if isinstance(found, dict) else {}
        for name, found in maps.items()
    }


def state_of(header: Header, sections: list[bytes], limits: Limits) -> dict[str, Array]:
    """The tensors of a file: of a state dict, or of the networks of a signal."""
    if header.base is not None:
        what = "a base" if header.kind == BASE else f"but what is its own beside the base {bytes(header.base).hex()}"
        raise InputError(f"holds {what}, no network that stands by itself")
    if header.kind == FIELD:
        field = field_from_header(header.field, limits.max_params)
        coded, _ = coded_networks(header, sections, registry.parts_in_header(header.signal))
        parts = [field_params(field, network) for network in coded]
        if len(parts) == 1:
            return parts[0]
        return {f"{number}.{name}": tensor for number, part in enumerate(parts) for name, tensor in part.items()}
    manifest = [(entry.name, entry.shape, entry.dtype) for entry in header.tensors]
    return tensors_of(manifest, CodedNetwork(only(sections)))


# -- descriptions ----------------------------------------------------------------------------------------------


def _tables(description: Description) -> tuple[str, list[Any]]:
    """A name for messages, and the tables of the networks."""
    if isinstance(description, str | os.PathLike):
        name, tree = os.fspath(description), _read_description(Path(description))
    else:
        name, tree = "describe", description
    if isinstance(tree, Mapping):
        if unknown := sorted(map(str, set(tree) - {"network"})):
            raise InputError(f"{name}: unknown entry {unknown[0]!r:.40}; expected network")
        tree = tree.get("network")
    if isinstance(tree, Mapping):
        tree = [tree]
    if not isinstance(tree, list | tuple) or not tree:
        raise InputError(f"{name}: expected a table [[network]] for each network")
    return name, list(tree)


def _read_description(path: Path) -> Any:
    if path.suffix.lower() not in (".toml", ".json"):
        raise InputError(f"{path}: expected a description in a .toml or .json file")
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not readable as {path.suffix[1:].upper()} ({' '.join(str(error).split())})"
        ) from error


def description_of(model: Any, activation: Any = None) -> str:
    """The networks that are recognised in a model, as a description in TOML to start from.

    What matrices are left is listed in comments.

    Raises
    ------
    InputError : as `compress_report`
    """
    check_activation(activation)
    checkpoint = read_checkpoint(model)
    networks = [one.network for one in recognise(checkpoint.state, activation)]
    lines = []
    for network in networks:
        lines += [f"# {network.describe()}", f"# compared: {network.compared}", "[[network]]"]
        lines += [f"{key} = {_toml(value)}" for key, value in network.to_table().items()] + [""]
    taken = {name for network in networks for name in network.names}
    left = layers_under({name: w for name, w in checkpoint.state.items() if name not in taken})
    if left:
        lines += ["# Matrices of no known network. Name the layers of each network in order, and what is between them:"]
        lines += ["# [[network]]", "# layers = ["]
        lines += [
            f"#   {_toml(layer.weight.removesuffix('.weight'))},  # {layer.fan_in} -> {layer.fan_out}" for layer in left
        ]
        example = activation_text(activation) if activation is not None else "relu"
        lines += ["# ]", f"# activation = {_toml(example)}"]
    return "\n".join(lines).rstrip() + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
