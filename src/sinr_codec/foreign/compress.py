"""`compress`: networks that somebody trained, into a file that gives back the same keys, shapes and dtypes."""

import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from sinr_codec.arguments import check_activation, check_positive, check_replaceable, check_seed
from sinr_codec.coding.assembled import Plan
from sinr_codec.coding.dtypes import is_float
from sinr_codec.container import write
from sinr_codec.devices import CPU, check_device
from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.fields import MLP, AnyActivation
from sinr_codec.files import check_output, write_bytes
from sinr_codec.foreign.chain import State
from sinr_codec.foreign.checkpoints import read_checkpoint
from sinr_codec.foreign.descriptions import Description, tables_of
from sinr_codec.foreign.fidelity import fidelity_loss, signal_for, signal_loss
from sinr_codec.foreign.headers import header_of, single_mlp
from sinr_codec.foreign.recognise import Recognised, described, recognise
from sinr_codec.foreign.tables import Network
from sinr_codec.foreign.trees import Checkpoint
from sinr_codec.planning.paper import baseline_bytes, plan_paper
from sinr_codec.planning.plan import plan, plan_by_weights
from sinr_codec.presets import preset_named
from sinr_codec.progress import NullProgress, Progress
from sinr_codec.quality import NO_LOSS, VERIFY_SLACK, decibels, hundredths
from sinr_codec.sections import section_bytes
from sinr_codec.signals.base import Part
from sinr_codec.signals.recipe import Preset
from sinr_codec.streams import Output
from sinr_codec.types import Array, Blob, Params

if TYPE_CHECKING:
    from sinr_codec.fit.rounding import Rounding

T = TypeVar("T")

MAX_DROP: Final = 0.1
"""dB that coding may cost on a signal."""
FIDELITY: Final = 46.0
"""dB that a compressed network's outputs keep to the old ones; costs a fit of 30 dB about 0.1 dB."""

_PLANS: Final = 5  # attempts to keep the fidelity at the points of the check
_COARSER: Final = 3  # after so many attempts, more fidelity than was asked for is accepted
_NEAR: Final = 0.3  # dB above the fidelity that are near enough


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
    assumed
        Whether the activation is only the likely one. If it is another, so is the fidelity.
    """

    name: str
    network: str
    weights: int
    bytes: int
    fidelity: float
    compared: str
    assumed: bool = False


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


def compress(model: object, out: Output | None = None, **options: Any) -> bytes:
    """Compress trained coordinate networks; see `compress_report` for the options. Returns the file's bytes."""
    return compress_report(model, out, **options).blob


def compress_report(
    model: object,
    out: Output | None = None,
    *,
    preset: str = "balanced",
    fidelity: float = FIDELITY,
    signal: object = None,
    max_drop: float = MAX_DROP,
    activation: AnyActivation | None = None,
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
        A file (.safetensors, .npz, or .pt, .pth, .ckpt read weights only), an open binary file of one of these, a torch
        module or a state dict.
    out
        File to write, or an open binary file.
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
    if weights_snr is not None:
        check_positive("weights_snr", weights_snr)
    check_activation(activation)
    progress = progress or NullProgress()
    coder = _Coder(preset_named(preset), fidelity, max_drop, seed, device, progress.update)
    checkpoint = read_checkpoint(model, keep_optimiser)
    known = _known(checkpoint, activation, describe)
    finite = [one for one in known if _is_finite(one.network, checkpoint.state)]
    networks = [one.network for one in finite]
    part = None if signal is None else signal_for(networks, signal)
    assumed = [one.assumed for one in finite]
    header = header_of(checkpoint, networks, assumed, described=describe is not None)
    write(header, [])  # refuses what the format cannot hold before the work begins

    progress.start("code", 0)
    coded = _coded(checkpoint, networks, part, coder, weights_snr)
    measured = min((report.fidelity for report in coded.networks), default=None)
    header = replace(header, quality=None if measured is None else hundredths(measured))
    blob = write(header, [b"".join(coded.plan.records.values())])
    if out is not None:
        write_bytes(out, blob)
    return CompressReport(
        path=Path(out) if isinstance(out, str | os.PathLike) else None,
        bytes=len(blob),
        weights=sum(tensor.size for tensor in checkpoint.state.values()),
        baseline_bytes=baseline_bytes(checkpoint.state),
        fidelity=measured,
        networks=tuple(replace(report, assumed=likely) for report, likely in zip(coded.networks, assumed)),
        exact=sum(tensor.size for tensor in coded.exact.values()),
        psnr=None if part is None else decibels(signal_loss(networks[0], part, coded.plan.params)),
        criterion=coded.criterion,
        field=single_mlp(networks),
        seconds=time.perf_counter() - start,
        notes=(*checkpoint.skipped, *_remarks(known, checkpoint, coded)),
        sections=section_bytes(coded.plan.records, blob),
        blob=blob,
    )


@dataclass(frozen=True)
class _Coded:
    """The tensors of a checkpoint, coded: one plan of all, and what is said of it."""

    plan: Plan
    networks: tuple[NetworkReport, ...]
    exact: Params
    criterion: str
    missed: tuple[str, ...]


def _coded(
    checkpoint: Checkpoint, networks: Sequence[Network], part: Part | None, coder: "_Coder", weights_snr: float | None
) -> _Coded:
    """Networks by their outputs, other tensors by their weights where that is asked for, and the rest bit by bit."""
    state = checkpoint.state
    plans: list[Plan] = []
    reports: list[NetworkReport] = []
    for network in networks:
        planned, reached = coder.coded(network, state, part)
        weights = sum(state[name].size for name in network.names)
        plans.append(planned)
        reports.append(
            NetworkReport(network.prefix, network.describe(), weights, planned.bytes, reached, network.compared)
        )
    missed = tuple(
        f"{report.name or 'network'}: a fidelity of {coder.fidelity:g} dB was missed: {report.fidelity:.2f} dB"
        for report in reports
        if coder.misses(report.fidelity, part)
    )
    criterion = coder.criterion(part) if networks else "every bit"
    taken = {name for network in networks for name in network.names}
    rest = {name: tensor for name, tensor in state.items() if name not in taken}
    if weights_snr is not None:
        lossy = {name: tensor for name, tensor in rest.items() if name not in checkpoint.optimiser}
        plans.append(plan_by_weights(lossy, weights_snr))
        rest = {name: tensor for name, tensor in rest.items() if name not in lossy}
        if lossy:
            criterion = f"a weight SNR of {weights_snr:g} dB" + (f" elsewhere; {criterion}" if networks else "")
    plans.append(plan(rest, lambda _: 0.0, 1.0, exact=rest.keys()))
    return _Coded(_merged(plans, state), tuple(reports), rest, criterion, missed)


def _is_finite(network: Network, state: Params) -> bool:
    return all(np.isfinite(state[name]).all() for name in network.names)


def _remarks(known: Sequence[Recognised], checkpoint: Checkpoint, coded: _Coded) -> list[str]:
    """One line for each network that was found, for a fidelity that was missed, and for weights of no network."""
    state = checkpoint.state
    kept = "; kept bit by bit, since its weights are not all finite"
    notes = [one.reason + ("" if _is_finite(one.network, state) else kept) for one in known]
    told = {name for one in known for name in one.network.names}
    return [*notes, *coded.missed, *_left_alone(coded.exact.keys() - checkpoint.optimiser - told, state)]


def _known(
    checkpoint: Checkpoint, activation: AnyActivation | None, description: Description | None
) -> list[Recognised]:
    state = {name: w for name, w in checkpoint.state.items() if name not in checkpoint.optimiser}
    if description is None:
        return recognise(state, activation)
    if activation is not None:
        raise InputError("activation: expected either a description or an activation; the description names its own")
    name, tables = tables_of(description)
    try:
        return described(state, tables)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error


@dataclass(frozen=True)
class _Coder:
    """How networks are coded."""

    recipe: Preset
    fidelity: float
    max_drop: float
    seed: int
    device: str
    progress: Callable[[int, str], None]

    def __post_init__(self) -> None:
        check_positive("fidelity", self.fidelity)
        check_positive("max_drop", self.max_drop)
        check_seed(self.seed)
        check_device(self.device)

    def misses(self, reached: float, part: Part | None) -> bool:
        """Whether so many dB are too few, where the fidelity rules the loss, and not a signal or the paper."""
        return part is None and not self.recipe.paper and reached < self.fidelity - VERIFY_SLACK

    def criterion(self, part: Part | None) -> str:
        """What bounds the loss, in words."""
        if self.recipe.paper:
            return "as published: 16-bit values, s from the width"
        return f"a fidelity of {self.fidelity:g} dB" if part is None else f"at most {self.max_drop:g} dB on the signal"

    def coded(self, network: Network, state: Params, part: Part | None) -> tuple[Plan, float]:
        """The smallest plan that keeps the fidelity, or else the best, and the dB that it reaches."""
        check = fidelity_loss(network, state, check=True)
        effort = self.recipe.rounding
        rounding = None if effort is None else _rounding(network, state, part, effort, self.seed)
        aim, tried = self.fidelity, list[tuple[Plan, float]]()
        for _ in range(_PLANS):
            planned = self._plan(network, state, part, rounding, 10 ** (-aim / 10))
            reached = decibels(check({**state, **planned.params}))
            tried.append((planned, reached))
            over = reached - self.fidelity
            good = over >= -VERIFY_SLACK and (over <= _NEAR or len(tried) >= _COARSER)
            if good or part is not None or self.recipe.paper:
                break
            aim -= over  # the planner's points were easier than most, or harder
        kept = [(one, db) for one, db in tried if db >= self.fidelity - VERIFY_SLACK]
        return min(kept, key=lambda one: one[0].bytes) if kept else max(tried, key=lambda one: one[1])

    def _plan(
        self, network: Network, state: Params, part: Part | None, rounding: "Rounding | None", limit: float
    ) -> Plan:
        tensors = {name: state[name] for name in network.names}
        if self.recipe.paper:
            return plan_paper(tensors, self.seed, device=self.device)
        loss: Callable[[Params], float]
        probe: Callable[[Params], float] | None = None
        if part is None:
            # The function of a network may need more than is coded: the matrix of an encoding.
            # Most of the difference of a scene lies in one ray of five hundred: all that tell the fidelity are needed.
            compare = fidelity_loss(network, state, check=network.POINTS > 1)
            loss = lambda candidate: compare({**state, **candidate})  # noqa: E731
            if network.POINTS > 1:  # a ray is many points: fewer tell how sensitive the tensors are
                few = fidelity_loss(network, state, times=1 / 8)
                probe = lambda candidate: few({**state, **candidate})  # noqa: E731
        else:
            loss = lambda candidate: signal_loss(network, part, {**state, **candidate})  # noqa: E731
            limit = max(loss(tensors), NO_LOSS) * 10 ** (self.max_drop / 10)
        # A scene's error lies in so few rays that no batch of them tells where to go (docs/verdict.md).
        rounds = rounding is not None and rounding.effort.steps and network.POINTS == 1
        return plan(
            tensors,
            loss,
            limit,
            probe=probe,
            dictionaries=self.recipe.dictionaries,
            rounder=rounding if rounds else None,
            felt=None if rounding is None else rounding.felt(tensors),
            seed=self.seed,
            device=self.device,
            progress=self.progress,
        )


def _rounding(
    network: Network, state: Params, part: Part | None, effort: Mapping[str, int], seed: int
) -> "Rounding | None":
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

    def function(tensors: State, points: Array) -> Array:
        return network.function({**constants, **tensors}, namespace)(points)

    def draw(count: int, generator: torch.Generator) -> Array:
        if part is None:
            points: Array = torch.rand(count, network.in_features, generator=generator).numpy() * 2 - 1
            return points
        return part.batch(torch.randint(len(part), (count,), generator=generator).sort().values.numpy())[0]

    settings = {**effort, "batch": max(Effort.batch // network.POINTS, 64)}
    return Rounding(function, draw, Effort(**settings), seed)


def _merged(plans: Sequence[Plan], state: Params) -> Plan:
    """One plan of several, in the order of the state."""

    def merged(parts: Iterable[Mapping[str, T]]) -> dict[str, T]:
        found = {key: value for part in parts for key, value in part.items()}
        return {key: found[key] for key in state}

    return Plan(
        merged(each.codings for each in plans),
        merged(each.records for each in plans),
        merged(each.params for each in plans),
    )


def _left_alone(names: Iterable[str], state: Params) -> list[str]:
    """A note where weights of an unknown network stay as they are."""
    large = [name for name in names if state[name].size > 1 and state[name].dtype.kind not in "iub"]
    if not large:
        return []
    numbers = sum(state[name].size for name in large)
    return [
        f"{len(large)} tensors with {numbers:,} numbers are part of no known network and were kept bit by bit; "
        "describe it to compress them"
    ]
