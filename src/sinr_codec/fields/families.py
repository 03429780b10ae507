"""Families of fields, as one table: what is different about each, for all who read, train and write fields."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from sinr_codec.errors import MalformedError, UnknownIdError
from sinr_codec.fields._numbers import is_list
from sinr_codec.fields.base import Field
from sinr_codec.fields.hashgrid import HashGrid
from sinr_codec.fields.mlp import MAX_PARAMS, MLP
from sinr_codec.fields.modulated import Modulations
from sinr_codec.fields.radiance import Radiance, RadianceGrid
from sinr_codec.fields.sections import RECORDS, BaseLevels, BaseRecords, SectionCodec
from sinr_codec.fields.sizes import grid_for_rate, scene_for_rate

WEIGHTS: Final = "sinr_codec.fit.loop:fit_weights"
"""The trainer of weights by gradient descent."""
LATENT_GRID: Final = "sinr_codec.fit.latents:fit_grid"
"""The trainer of grids of integers for a rate."""


@dataclass(frozen=True)
class Family:
    """A class of fields.

    Values at points and on grids are the field's (`Field.decoder`, `base.GridDecoder`).

    Attributes
    ----------
    id
        First entry of `Field.to_header`, and so of the headers of files.
    name
        For people.
    from_header
        ``from_header(value, max_params)``, the inverse of `Field.to_header`; None where a field can only be read beside
        a base (`modulated.beside_from_header`).
    section
        The code of the parameters.
    trainer
        ``module:function`` of ``f(field, part, config, params, progress) -> FitResult``, with the arguments of
        `fit.fit`; imported when something is fitted.
    coder
        ``module:function`` of ``f(task) -> Coded``, with the types of `methods`: a family with a coder and sizes is a
        method by its name, and the coder makes the records that its section has. None for families whose tensors are
        planned like those of any network.
    sized
        ``sized(spec, bits, width, depth) -> Field``: the field for a signal in so many bits a sample, with the user's
        width and depth where these are not None. None for families whose rate is chosen by a width
        (`presets.widest_within`).
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
    )
}
"""By id. A difference to a base is in the family of its network: both have the same header and records."""


def family_of(field: Any) -> Family:
    """The family of a field, by its header."""
    return FAMILIES[field.to_header()[0]]


def field_from_header(value: object, max_params: int = MAX_PARAMS) -> Field:
    """The field that a file's header describes; see `MLP.from_header` for the errors."""
    if not is_list(value):
        raise MalformedError("field header: expected a list that starts with an integer id")
    family = FAMILIES.get(cast(int, value[0]))
    if family is None or family.from_header is None:
        raise UnknownIdError(f"field header: field id {value[0]} is not known to this version")
    return family.from_header(value, max_params)
