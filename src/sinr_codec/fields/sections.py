"""The section of a field in a file: assembly, decoding and description for each family."""

from collections.abc import Mapping
from typing import ClassVar, Final, Protocol

from sinr_codec.coding.records import DECODING, CodedNetwork, describe_records, in_planes, tensors_of
from sinr_codec.errors import InputError
from sinr_codec.fields.base import Decodable, manifest_of
from sinr_codec.fields.latents import LatentModel
from sinr_codec.fields.modulated import LATENTS, Modulations
from sinr_codec.types import Array, JsonObject


class SectionCodec(Protocol):
    """Codec of a field's parameters, which form one section of a file.

    Only its codec reads a section, so a section may start with a model that is decoded before the latents it describes.

    Attributes
    ----------
    decoding
        Bytes that a number of the largest tensor takes while it is decoded; 0 where `decode` checks that by itself.
    """

    decoding: ClassVar[int]

    def assemble(self, field: Decodable, records: Mapping[str, bytes], planes: int = 0) -> CodedNetwork:
        """The section from the records of a plan.

        Raises
        ------
        InputError
            `planes` is not 0, but the family does not support progressive coding.
        """

    def decode(self, field: Decodable, coded: CodedNetwork) -> dict[str, Array]:
        """Parameters by name, identical on all platforms.

        Raises
        ------
        FormatError
            A section that no encoder writes, or one above the limits.
        """

    def describe(self, field: Decodable, section: bytes) -> list[JsonObject]:
        """A JSON-ready dict for each tensor: "name", "shape", "dtype", "bytes", "coding" and its details."""


class Records:
    """A tensor record for each parameter, in the order of `Field.shapes`."""

    decoding: ClassVar[int] = DECODING

    def assemble(self, field: Decodable, records: Mapping[str, bytes], planes: int = 0) -> CodedNetwork:
        """See `SectionCodec.assemble`."""
        if planes:
            return in_planes(manifest_of(field), records, planes)
        return CodedNetwork(b"".join(records[name] for name in field.shapes()))

    def decode(self, field: Decodable, coded: CodedNetwork) -> dict[str, Array]:
        """See `SectionCodec.decode`."""
        return tensors_of(manifest_of(field), coded)

    def describe(self, field: Decodable, section: bytes) -> list[JsonObject]:
        """See `SectionCodec.describe`."""
        return describe_records(manifest_of(field), section)


RECORDS: Final = Records()


class BaseRecords(Records):
    """Latents as a tensor record, relative to the mean of the base and in units of its reach."""

    def decode(self, field: Decodable, coded: CodedNetwork) -> dict[str, Array]:
        """See `SectionCodec.decode`."""
        return {LATENTS: _model(field).unscaled(super().decode(field, coded)[LATENTS])}


class BaseLevels:
    """Levels of latents, coded with the histograms of the base."""

    decoding: ClassVar[int] = DECODING

    def assemble(self, field: Decodable, records: Mapping[str, bytes], planes: int = 0) -> CodedNetwork:
        """See `SectionCodec.assemble`."""
        if planes:
            raise InputError("progressive: levels of a base have no planes")
        return CodedNetwork(records[LATENTS])

    def decode(self, field: Decodable, coded: CodedNetwork) -> dict[str, Array]:
        """See `SectionCodec.decode`."""
        return {LATENTS: _model(field).decode(coded.section, field.shapes()[LATENTS][0])}

    def describe(self, field: Decodable, section: bytes) -> list[JsonObject]:
        """See `SectionCodec.describe`."""
        levels = _model(field).counts.shape[1]
        coding = {"bytes": len(section), "coding": "levels of a base", "levels": levels}
        return [
            {"name": name, "shape": list(shape), "dtype": str(dtype)} | coding
            for name, shape, dtype in manifest_of(field)
        ]


def _model(field: Decodable) -> LatentModel:
    if not isinstance(field, Modulations) or field.model is None:
        raise InputError("latents: expected a base with a model of them")
    return field.model
