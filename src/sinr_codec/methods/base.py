"""What a method is: how a network is trained, and how the trained network is coded."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sinr_codec.bases import Base
from sinr_codec.coding.assembled import Plan
from sinr_codec.evaluators import tile_of
from sinr_codec.fields import AnyActivation, AnyEncoding, Field, Identity
from sinr_codec.progress import NullProgress, Progress
from sinr_codec.quality import NO_LOSS
from sinr_codec.signals.base import Part
from sinr_codec.types import Params

ProtocolName = Literal["paper", "own"]

SEARCH_SAMPLES: Final = 1 << 19
"""Samples that losses are measured on while a coding is searched; the file itself is measured on all."""
PROBE_SAMPLES: Final = 1 << 16


@dataclass(frozen=True)
class Training:
    """The network of a method, and how it is trained.

    Methods with the same training code the same networks.

    Attributes
    ----------
    name
        Of the training: networks that go by the same name are shared.
    activation, encoding
        Of the network, for pictures; other kinds of signal keep the network that they have in `presets.RECIPES`.
    l1
        Weight of the sum of absolute parameters in the loss.
    published
        Settings of `fit.FitConfig` as published.
    network
        ``network(spec, bits, width, depth)``: the field for a signal in so many bits a sample, where a network is
        trained for a rate (`fit.FitConfig.bits`); None for an MLP.
    fit
        Settings of `fit.FitConfig` by preset, where there is a `network`; and by kind of signal, what is other there.
    base
        What `learning.learn` is told of the base that files begin from; None where they need none.
    """

    name: str
    activation: AnyActivation
    encoding: AnyEncoding = dataclasses.field(default_factory=Identity)
    l1: float = 0.0
    published: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    network: Callable[[Any, float, int | None, int | None], Field] | None = None
    fit: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    base: Mapping[str, Any] | None = None

    def settings(self, preset: str, kind: str) -> dict[str, Any]:
        """Settings of the fit of a `network` under a preset."""
        return {**self.fit[preset], **self.fit.get(kind, {})}


@dataclass(frozen=True)
class Task:
    """A trained network to be coded, and all that a method may ask of its signal.

    Attributes
    ----------
    field, params
        The network.
    part
        The samples that it was fitted to.
    max_drop, slack
        What a method which plans may lose: so many dB, or so much of the error that `error` gives; the larger counts.
    effort
        Share of the published number of training steps that methods which train further may spend.
    known
        What methods found out about these parameters, for each other; see `once`.
    base
        What the file will need, where it needs a base.
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
        """The task with other parameters, in the order of the network; an MLP becomes as narrow as they are."""
        network = self.field.of(params)
        ordered = {name: params[name] for name in network.shapes()}
        return dataclasses.replace(self, field=network, params=ordered, known={})

    @property
    def trainable(self) -> Any:
        """What `fit` takes: the network, or the network with something around it, such as the rendering of rays."""
        return getattr(self.part, "trainable", lambda network: network)(self.field)

    def once(self, key: Any, compute: Callable[[], Any]) -> Any:
        """What `compute` gives, computed once for these parameters."""
        if key not in self.known:
            self.known[key] = compute()
        return self.known[key]

    def limit(self, error: float) -> float:
        """The largest error that a planned coding of a network with this one may have."""
        base = max(error, NO_LOSS)
        return max(base * 10 ** (self.max_drop / 10), base + self.slack)

    def error(self, samples: int | None = SEARCH_SAMPLES) -> Callable[[Params], float]:
        """``f(params)``: 10^(-dB / 10) of what a decoder makes of the parameters, on so many of the samples."""
        measure, tile = self.part.objective(samples, self.seed), tile_of(self.field)
        return lambda params: measure(self.field.decoder(dict(params)), tile)


@dataclass(frozen=True)
class Coded:
    """What a method makes of a network.

    Attributes
    ----------
    plan
        Records, and the parameters that a decoder gets from them.
    published_bytes
        Size by the accounting of the method's authors, where it is not that of the file.
    figures
        What there is to know beside it, such as "s" or "kept".
    field
        The network as the file describes it, where the coding decides on that.
    """

    plan: Plan
    published_bytes: float | None = None
    figures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    field: Any = None


@dataclass(frozen=True)
class Method:
    """A training, and a coder for what it gives.

    Attributes
    ----------
    name, title
        What the command and what tables call it.
    protocol
        "paper": 16-bit min-max quantiser and Brotli, as SINR's paper has it for all methods; "own": the quantiser and
        coder of the method's authors.
    training, code
        See above.
    bits
        Bits a parameter that its files take, to choose a width for a rate.
    finetune
        What happens to the trained network before it is coded, such as pruning; `Task.with_params` takes its result.
    """

    name: str
    title: str
    protocol: ProtocolName
    training: Training
    code: Callable[[Task], Coded]
    bits: float = 16.0
    finetune: Callable[[Task], Params] | None = None
