"""What a method is: how a network is trained, and how the trained network is coded."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sinr_codec.bases import Base
from sinr_codec.coding.assembled import Plan
from sinr_codec.evaluators import tile_of
from sinr_codec.fields import AnyActivation, AnyEncoding, Field, Identity
from sinr_codec.fields.base import Trainable
from sinr_codec.progress import NullProgress, Progress
from sinr_codec.quality import NO_LOSS
from sinr_codec.signals.base import Part, Spec
from sinr_codec.types import Params

ProtocolName = Literal["paper", "own"]

SEARCH_SAMPLES: Final = 1 << 19
"""Samples for the losses during the search for a coding; the file itself is measured on all samples."""
PROBE_SAMPLES: Final = 1 << 16


@dataclass(frozen=True)
class Training:
    """The network of a method, and how it is trained.

    Methods with the same training code the same networks.

    Attributes
    ----------
    name
        Of the training; networks of trainings with the same name are shared.
    activation, encoding
        Of the network, for pictures. Other kinds of signal have the network of `presets.RECIPES`.
    l1
        Weight of the sum of absolute parameters in the loss.
    published
        Settings of `fit.FitConfig` as published.
    network
        ``network(spec, bits, width, depth)``: the field for a signal at a rate of `bits` per sample, if networks are
        trained for a rate (`fit.FitConfig.bits`); None for an MLP.
    fit
        With a `network`: settings of `fit.FitConfig` by preset, and by kind of signal the settings that differ there.
    weighted
        Whether a fit meets a rate or a quality by itself, through `fit.FitConfig.bits` and `quality`.
    base
        Arguments of `learning.learn` for the base that files start from; None if they need none.
    """

    name: str
    activation: AnyActivation
    encoding: AnyEncoding = dataclasses.field(default_factory=Identity)
    l1: float = 0.0
    published: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    network: Callable[[Spec, float, int | None, int | None], Field] | None = None
    fit: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    weighted: bool = False
    base: Mapping[str, Any] | None = None

    def settings(self, preset: str, kind: str) -> dict[str, Any]:
        """Settings of the fit of a `network` under a preset."""
        return {**self.fit[preset], **self.fit.get(kind, {})}


def trainable_of(network: Field, part: Part) -> Trainable:
    """The function to fit: the network, or a wrapper of it, such as the rendering of rays."""
    return getattr(part, "trainable", lambda network: network)(network)


def error_of(network: Field, part: Part, samples: int | None, seed: int) -> Callable[[Params], float]:
    """``f(params)``: 10^(-dB / 10) of the part decoded from the parameters, on at most `samples` samples."""
    measure, tile = part.objective(samples, seed), tile_of(network)
    return lambda params: measure(network.decoder(dict(params)), tile)


@dataclass(frozen=True)
class Task:
    """A trained network to be coded, and its signal.

    Attributes
    ----------
    field, params
        The network.
    part
        The samples it was fitted to.
    max_drop, slack
        Allowed loss of a planned coding: in dB, or in units of the error of `error`; the larger counts.
    effort
        Share of the published number of training steps for methods that train further.
    known
        Results about these parameters that methods share; see `once`.
    base
        The base that the file will need, if any.
    """

    field: Field
    params: Params
    part: Part
    seed: int = 0
    device: str = "cpu"
    max_drop: float = 0.1
    slack: float = 0.0
    effort: float = 1.0
    progress: Progress = dataclasses.field(default_factory=NullProgress)
    known: dict[Any, Any] = dataclasses.field(default_factory=dict)
    base: Base | None = None

    def with_params(self, params: Params) -> "Task":
        """The task with other parameters, in the order of the network; an MLP takes their width."""
        network = self.field.of(params)
        ordered = {name: params[name] for name in network.shapes()}
        return dataclasses.replace(self, field=network, params=ordered, known={})

    @property
    def trainable(self) -> Trainable:
        """What `fit` trains: the network, or the network inside something else, such as the rendering of rays."""
        return trainable_of(self.field, self.part)

    def once(self, key: Any, compute: Callable[[], Any]) -> Any:
        """The result of `compute`, computed once for these parameters."""
        if key not in self.known:
            self.known[key] = compute()
        return self.known[key]

    def limit(self, error: float) -> float:
        """The largest error allowed for a planned coding of a network with this error."""
        base = max(error, NO_LOSS)
        return max(base * 10 ** (self.max_drop / 10), base + self.slack)

    def error(self, samples: int | None = SEARCH_SAMPLES) -> Callable[[Params], float]:
        """``f(params)``: 10^(-dB / 10) of the signal decoded from the parameters, on at most `samples` samples."""
        return error_of(self.field, self.part, samples, self.seed)


@dataclass(frozen=True)
class Coded:
    """A network as a method codes it.

    Attributes
    ----------
    plan
        Records, and the parameters decoded from them.
    published_bytes
        Size by the accounting of the method's authors, if it is not that of the file.
    figures
        Further figures, such as "s" or "kept".
    field
        The network as the file describes it, if the coding decides that.
    """

    plan: Plan
    published_bytes: float | None = None
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    field: Any = None


@dataclass(frozen=True)
class Method:
    """A training, and a coder for the trained networks.

    Attributes
    ----------
    name, title
        Name on the command line, and title in tables.
    protocol
        "paper": 16-bit min-max quantiser and Brotli, which SINR's paper applies to all methods; "own": the quantiser
        and coder of the method's authors.
    training, code
        See above.
    bits
        Bits per parameter of its files, used to choose a width for a rate.
    finetune
        Step between training and coding, such as pruning; its result goes to `Task.with_params`.
    """

    name: str
    title: str
    protocol: ProtocolName
    training: Training
    code: Callable[[Task], Coded]
    bits: float = 16.0
    finetune: Callable[[Task], Params] | None = None
