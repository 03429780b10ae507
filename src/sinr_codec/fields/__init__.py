"""Coordinate networks as pure functions.

A field is a frozen spec with `init(rng) -> params` and `apply(params, coords) -> values`.
"""

from __future__ import annotations

from sinr_codec.fields.activations import AnyActivation, Gaussian, ReLU, Sine, Wire
from sinr_codec.fields.base import Decodable, Field, Trainable
from sinr_codec.fields.encodings import AnyEncoding, AxisOctaves, Fourier, Identity, Octaves, RotatedOctaves
from sinr_codec.fields.families import FAMILIES, Family, family_of, field_from_header
from sinr_codec.fields.hashgrid import HashGrid
from sinr_codec.fields.interlaced import Interlaced
from sinr_codec.fields.mlp import MLP
from sinr_codec.fields.modulated import Difference, Modulated, Modulations
from sinr_codec.fields.pyramid import Pyramid
from sinr_codec.fields.radiance import Radiance, RadianceGrid

__all__ = [
    "FAMILIES",
    "MLP",
    "AnyActivation",
    "AnyEncoding",
    "AxisOctaves",
    "Decodable",
    "Difference",
    "Family",
    "Field",
    "Fourier",
    "Gaussian",
    "HashGrid",
    "Identity",
    "Interlaced",
    "Modulated",
    "Modulations",
    "Octaves",
    "Pyramid",
    "Radiance",
    "RadianceGrid",
    "ReLU",
    "RotatedOctaves",
    "Sine",
    "Trainable",
    "Wire",
    "family_of",
    "field_from_header",
]
