"""Coordinate networks as pure functions.

A field is a frozen spec with `init(rng) -> params` and `apply(params, coords) -> values`.
"""

from __future__ import annotations

from sinr_codec.errors import MalformedError, UnknownIdError
from sinr_codec.fields._numbers import is_list
from sinr_codec.fields.activations import AnyActivation, Gaussian, ReLU, Sine, Wire
from sinr_codec.fields.base import Field, Trainable
from sinr_codec.fields.encodings import AnyEncoding, AxisOctaves, Fourier, Identity, Octaves
from sinr_codec.fields.hashgrid import HashGrid
from sinr_codec.fields.mlp import MAX_PARAMS, MLP
from sinr_codec.fields.modulated import Difference, Modulated, Modulations
from sinr_codec.fields.radiance import Radiance, RadianceGrid

__all__ = [
    "MLP",
    "AnyActivation",
    "AnyEncoding",
    "AxisOctaves",
    "Difference",
    "Field",
    "Fourier",
    "Gaussian",
    "HashGrid",
    "Identity",
    "Modulated",
    "Modulations",
    "Octaves",
    "Radiance",
    "RadianceGrid",
    "ReLU",
    "Sine",
    "Trainable",
    "Wire",
    "field_from_header",
]


def field_from_header(value: object, max_params: int = MAX_PARAMS) -> Field:
    """The field that a file's header describes; see `MLP.from_header` for the errors."""
    if not is_list(value):
        raise MalformedError("field header: expected a list that starts with an integer id")
    for kind in (MLP, Radiance, HashGrid, RadianceGrid):
        if value[0] == kind.ID:
            return kind.from_header(value, max_params)
    raise UnknownIdError(f"field header: field id {value[0]} is not known to this version")
