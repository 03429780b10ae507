"""The network that suits a kind of signal, and how it is fitted."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from sinr_codec.fields import MLP, AnyActivation, AnyEncoding, AxisOctaves, Field, Identity

_OCTAVE: Final = 1.4


@dataclass(frozen=True)
class Preset:
    """How long to fit and how hard to look for a small coding.

    Attributes
    ----------
    fit
        Settings of `fit.FitConfig`.
    bits
        Bits a parameter that files of this preset take, to choose the width for a rate.
    dictionaries
        Sizes k2 of the random dictionaries that the planner tries.
    paper
        Code as published instead of planning.
    inner_steps
        Steps from a base to the latents of a signal; None for those that it was learned with.
    rounding
        Settings of `fit.rounding.Effort`: how long weights are rounded for what the network puts out; 0 steps to the
        nearest level. None: nothing is asked of the network.
    rated
        Train networks for the bytes that they may take (`fit.rated`), where those are known.
    refit
        Train other networks on, once coded, for fewer bytes at the same loss.
    effort
        Share of their published steps that methods spend which train further (`methods.Task.effort`).
    """

    name: str
    fit: dict[str, Any] = field(default_factory=dict)
    bits: float = 6.8
    dictionaries: tuple[int, ...] = ()
    paper: bool = False
    effort: float = 1.0
    inner_steps: int | None = None
    rounding: dict[str, int] | None = None
    rated: bool = False
    refit: bool = False


@dataclass(frozen=True)
class Recipe:
    """The network of one kind of signal, and how to fit it.

    Attributes
    ----------
    activation, encoding
        Of the hidden layers, and of the coordinates before them; functions of the signal's `Spec` where they depend on
        the source. A user who names an activation of an MLP gets it on the coordinates as they are.
    depth
        Hidden layers where the user names none.
    published
        Activation under the preset `paper`, on the coordinates as they are; None: as for all.
    rate
        Bits a position (`Spec.samples`) aimed at where the user names neither a rate, a quality nor a width.
    width
        Width in that case, instead of a rate.
    bits
        Bits a parameter that planned files of this kind take, where it is not the preset's.
    rated_bits
        Bits a parameter that are best where the network is trained for its bytes; None: it is not.
    db
        Quality that ordinary signals have at `rate`; where a search for a quality begins.
    qualities
        More of such pairs (dB, bits a position), in ascending order, where they are known.
    fit
        Settings of `fit.FitConfig` by preset, over those of the preset; under "" for all presets.
    build
        Makes the field from (in_features, out_features, width, hidden_layers, activation, encoding).
    """

    activation: AnyActivation | Callable[[Any], AnyActivation]
    encoding: AnyEncoding | Callable[[Any], AnyEncoding] = field(default_factory=Identity)
    depth: int = 3
    published: AnyActivation | None = None
    rate: float = 0.3
    width: int | None = None
    bits: float | None = None
    rated_bits: float | None = None
    db: float = 30.0
    qualities: tuple[tuple[float, float], ...] = ()
    fit: dict[str, dict[str, Any]] = field(default_factory=dict)
    build: Callable[..., Field] = MLP

    def bits_a_param(self, preset: Preset) -> float:
        """Bits a parameter to reckon with under a preset."""
        return preset.bits if self.bits is None or preset.paper else self.bits

    def rated(self, preset: Preset) -> bool:
        """Whether networks are trained for the bytes that they may take."""
        return preset.rated and self.rated_bits is not None

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Settings of the fit under a preset."""
        return preset.fit | self.fit.get("", {}) | self.fit.get(preset.name, {})

    def rate_at(self, db: float) -> float:
        """Bits a position at which an ordinary signal has a quality of so many dB: a first guess.

        Between known qualities, logarithms of the rate are interpolated. Where there are none, 5 dB double the rate,
        within a factor of 16. A search corrects the guess.
        """
        if not self.qualities:
            return float(self.rate * 2 ** np.clip((db - self.db) / 5, -4, 4))
        known, rates = zip(*self.qualities)
        return float(2 ** np.interp(db, known, np.log2(rates)))

    def activated(self, spec: Any, activation: AnyActivation) -> "Recipe":
        """The recipe with an activation that the user names: a learning rate tuned for another kind is left out."""
        own = self.activation if isinstance(self.activation, AnyActivation) else self.activation(spec)
        if type(own) is type(activation):
            return self
        fit = {name: {key: v for key, v in settings.items() if key != "lr"} for name, settings in self.fit.items()}
        return replace(self, fit=fit)

    def under(self, preset: Preset) -> "Recipe":
        """The recipe with the network of a preset."""
        if not preset.paper or self.published is None:
            return self
        return replace(self, activation=self.published, encoding=Identity())

    def network(
        self, spec: Any, width: int, depth: int | None = None, activation: AnyActivation | None = None
    ) -> Field:
        """The field of a width for a signal's `Spec`, with the user's depth and activation where there are any."""
        encoding = self.encoding if isinstance(self.encoding, AnyEncoding) else self.encoding(spec)
        if activation is None:
            activation = self.activation if isinstance(self.activation, AnyActivation) else self.activation(spec)
        elif self.build is MLP:
            encoding = Identity()
        depth = self.depth if depth is None else depth
        return self.build(spec.in_features, spec.out_features, width, depth, activation, encoding)


def octaves(spec: Any) -> AxisOctaves:
    """INRIC's encoding with octaves for each axis as 16 are for 768 samples: up to some 1.3 radians a sample.

    More would alternate between the samples, where there is nothing to fit.
    """
    counts = (16 + round(math.log(n / 768) / math.log(_OCTAVE)) for n in spec.axes)
    return AxisOctaves(tuple(max(0, count) for count in counts), _OCTAVE)
