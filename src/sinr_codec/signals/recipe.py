"""The network for a kind of signal, and the settings of its fit."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from sinr_codec.fields import MLP, AnyActivation, AnyEncoding, AxisOctaves, Field, Identity, RotatedOctaves

_OCTAVE: Final = 1.4


@dataclass(frozen=True)
class Preset:
    """Length of the fit, and effort in the search for a small coding.

    Attributes
    ----------
    fit
        Settings of `fit.FitConfig`.
    bits
        Typical bits a parameter in files of this preset, for the choice of a width by rate.
    dictionaries
        Sizes k2 of the random dictionaries for the planner.
    paper
        Code as published, without planning.
    inner_steps
        Steps from a base to the latents of a signal; None for the number it was learned with.
    rounding
        Settings of `fit.rounding.Effort` for rounding weights by the network's output; 0 steps for the nearest level.
        None: rounding without evaluation of the network.
    rated
        Train networks for their byte budget (`fit.rated`), where it is known.
    refit
        Continue to train other networks after coding, for fewer bytes at the same loss.
    effort
        Share of the published steps for methods that continue training (`methods.Task.effort`).
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
    """The network for one kind of signal, and the settings of its fit.

    Attributes
    ----------
    activation, encoding
        Activation of the hidden layers and encoding of the coordinates; functions of the signal's `Spec` if they depend
        on the source. An MLP with an activation chosen by the user has no encoding.
    depth
        Default number of hidden layers.
    published
        Activation under the preset `paper`, without an encoding; None: as for other presets.
    published_width
        Default width under the preset `paper`; None: as for other presets.
    rate
        Default rate in bits a position (`Spec.samples`), where the user gives neither a rate, a quality nor a width.
    width
        Default width, instead of a default rate; a function of the signal's `Spec` if it depends on the source.
    bits
        Typical bits a parameter in planned files of this kind, where it differs from the preset's.
    rated_bits
        Best bits a parameter for a network trained for its byte budget; None: it is not trained so.
    db
        Quality of typical signals at `rate`; the start of a search for a quality.
    qualities
        Further known pairs (dB, bits a position), in ascending order.
    method
        Name of the method for signals of this kind where the user names neither a method nor a network; None: the
        planner for the network of this recipe.
    fit
        Settings of `fit.FitConfig` by preset, which override the preset's; under "" for all presets.
    build
        Function that makes the field from (in_features, out_features, width, hidden_layers, activation, encoding).
    """

    activation: AnyActivation | Callable[[Any], AnyActivation]
    encoding: AnyEncoding | Callable[[Any], AnyEncoding] = field(default_factory=Identity)
    depth: int = 3
    published: AnyActivation | None = None
    published_width: int | None = None
    rate: float = 0.3
    width: int | Callable[[Any], int] | None = None
    bits: float | None = None
    rated_bits: float | None = None
    db: float = 30.0
    qualities: tuple[tuple[float, float], ...] = ()
    method: str | None = None
    fit: dict[str, dict[str, Any]] = field(default_factory=dict)
    build: Callable[..., Field] = MLP

    def bits_a_param(self, preset: Preset) -> float:
        """Assumed bits a parameter under a preset."""
        return preset.bits if self.bits is None or preset.paper else self.bits

    def rated(self, preset: Preset) -> bool:
        """Whether networks are trained for their byte budget."""
        return preset.rated and self.rated_bits is not None

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Settings of the fit under a preset."""
        return preset.fit | self.fit.get("", {}) | self.fit.get(preset.name, {})

    def rate_at(self, db: float) -> float:
        """First guess of the rate, in bits a position, at which a typical signal has a quality of `db`.

        The logarithm of the rate is interpolated between known qualities. Without known qualities, 5 dB double the
        rate, within a factor of 16. A search corrects the guess.
        """
        if not self.qualities:
            return float(self.rate * 2 ** np.clip((db - self.db) / 5, -4, 4))
        known, rates = zip(*self.qualities)
        return float(2 ** np.interp(db, known, np.log2(rates)))

    def default_width(self, spec: Any) -> int | None:
        """The default width for a signal's `Spec`; None where a rate is the default."""
        return self.width(spec) if callable(self.width) else self.width

    def activated(self, spec: Any, activation: AnyActivation) -> "Recipe":
        """The recipe with an activation chosen by the user, without a learning rate tuned for another activation."""
        own = self.activation if isinstance(self.activation, AnyActivation) else self.activation(spec)
        if type(own) is type(activation):
            return self
        fit = {name: {key: v for key, v in settings.items() if key != "lr"} for name, settings in self.fit.items()}
        return replace(self, fit=fit)

    def under(self, preset: Preset) -> "Recipe":
        """The recipe with the network of a preset."""
        if not preset.paper:
            return self
        recipe = self if self.published_width is None else replace(self, width=self.published_width)
        return recipe if recipe.published is None else replace(recipe, activation=recipe.published, encoding=Identity())

    def network(
        self, spec: Any, width: int, depth: int | None = None, activation: AnyActivation | None = None
    ) -> Field:
        """The field of a given width for a signal's `Spec`, with the user's depth and activation if given."""
        encoding = self.encoding if isinstance(self.encoding, AnyEncoding) else self.encoding(spec)
        if activation is None:
            activation = self.activation if isinstance(self.activation, AnyActivation) else self.activation(spec)
        elif self.build is MLP:
            encoding = Identity()
        depth = self.depth if depth is None else depth
        return self.build(spec.in_features, spec.out_features, width, depth, activation, encoding)


def octaves(spec: Any) -> AxisOctaves:
    """INRIC's encoding, with octaves for each axis that correspond to 16 for 768 samples: up to about 1.3 radians a
    sample.

    Higher frequencies would oscillate between samples, where no data constrain them.
    """
    return AxisOctaves(_counts(spec), _OCTAVE)


def rotated_octaves(spec: Any) -> RotatedOctaves:
    """`octaves` of two axes along directions that turn from octave to octave; see `ImageSignal.suited`."""
    rows, columns = _counts(spec)
    return RotatedOctaves((rows, columns), _OCTAVE)


def _counts(spec: Any) -> tuple[int, ...]:
    return tuple(max(0, 16 + round(math.log(n / 768) / math.log(_OCTAVE))) for n in spec.axes)
