"""The table of field families: how fields of each are read, trained and coded."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from sinr_codec.errors import MalformedError, UnknownIdError
from sinr_codec.fields._numbers import is_list
from sinr_codec.fields.base import Field
from sinr_codec.fields.hashgrid import HashGrid
from sinr_codec.fields.interlaced import Interlaced
from sinr_codec.fields.interlaced_section import InterlacedSection
from sinr_codec.fields.mlp import MAX_PARAMS, MLP
from sinr_codec.fields.modulated import Modulations
from sinr_codec.fields.pyramid import Pyramid
from sinr_codec.fields.pyramid_section import PyramidSection
from sinr_codec.fields.radiance import Radiance, RadianceGrid
from sinr_codec.fields.sections import RECORDS, BaseLevels, BaseRecords, SectionCodec
from sinr_codec.fields.sizes import grid_for_rate, scene_for_rate

WEIGHTS: Final = "sinr_codec.fit.loop:fit_weights"
"""Trainer of weights, by gradient descent."""
LATENT_GRID: Final = "sinr_codec.fit.latents:fit_grid"
"""Trainer of integer grids, for a rate."""
PYRAMID: Final = "sinr_codec.fit.pyramid:fit_pyramid"
"""Trainer of pyramids, for a rate."""
INTERLACED: Final = "sinr_codec.fit.interlaced:fit_interlaced"
"""Trainer of the network that predicts samples, for the length of their code."""


@dataclass(frozen=True)
class Family:
    """A class of fields.

    The field itself evaluates points and grids (`Field.decoder`, `base.GridDecoder`).

    Attributes
    ----------
    id
        First entry of `Field.to_header`, and so of fields in file headers.
    name
        Name for users.
    from_header
        ``from_header(value, max_params)``, the inverse of `Field.to_header`; None for a field that is read with a base
        (`modulated.beside_from_header`).
    section
        Codec of the parameters' section.
    trainer
        ``module:function`` of ``f(field, part, config, params, progress) -> FitResult``, with the arguments of
        `fit.fit`; imported on first use.
    coder
        ``module:function`` of ``f(task) -> Coded``, with the types of `methods`. A family with a coder and sizes is a
        method under its name; the coder makes the records of its section. None for families with tensors planned like
        those of any network.
    sized
        ``sized(spec, bits, width, depth) -> Field``: the field for a signal at a rate in bits a sample, with the user's
        width and depth unless None. None for families whose width determines the rate (`presets.widest_within`).
    """

    id: int
    name: str
    from_header: Callable[[object, int], Field] | None
    section: SectionCodec = RECORDS
    trainer: str = WEIGHTS
    coder: str | None = None
    sized: Callable[[Any, float, int | None, int | None], Field] | None = None

    def train(self, *arguments: Any) -> Any:
        """Call the trainer."""
        return pkgutil.resolve_name(self.trainer)(*arguments)

    def code(self, task: Any) -> Any:
        """Call the coder."""
        assert self.coder is not None
        return pkgutil.resolve_name(self.coder)(task)


FAMILIES: Final = {
    family.id: family
    for family in (
        Family(MLP.ID, "multilayer perceptron", MLP.from_header),
        Family(Radiance.ID, "radiance field", Radiance.from_header),
        Family(HashGrid.ID, "hash grid", HashGrid.from_header, trainer=LATENT_GRID, sized=grid_for_rate),
        Family(Modulations.ID, "latents of a base", None, BaseLevels()),
        Family(
            RadianceGrid.ID,
            "radiance field of a hash grid",
            RadianceGrid.from_header,
            trainer=LATENT_GRID,
            sized=scene_for_rate,
        ),
        Family(Modulations.RECORDED_ID, "recorded latents of a base", None, BaseRecords()),
        Family(Pyramid.ID, "pyramid", Pyramid.from_header, PyramidSection(), PYRAMID),
        Family(Interlaced.ID, "interlaced samples", Interlaced.from_header, InterlacedSection(), INTERLACED),
    )
}
"""Families by id. A difference from a base belongs to the family of its network: both have the same header and
records."""


def family_of(field: Any) -> Family:
    """The family of a field, from its header."""
    return FAMILIES[field.to_header()[0]]


def field_from_header(value: object, max_params: int = MAX_PARAMS) -> Field:
    """The field described by a file's header; errors as in `MLP.from_header`."""
    if not is_list(value):
        raise MalformedError("field header: expected a list that starts with an integer id")
    family = FAMILIES.get(cast(int, value[0]))
    if family is None or family.from_header is None:
        raise UnknownIdError(f"field header: field id {value[0]} is not known to this version")
    return family.from_header(value, max_params)
