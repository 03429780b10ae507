"""The section of a pyramid: its networks in one stream of weights, then the latents under the decoded networks."""

import math
from collections.abc import Mapping
from typing import ClassVar, Final

import numpy as np

from sinr_codec.coding.latents import ContextModel, decode_latents, encode_latents
from sinr_codec.coding.records import CodedNetwork
from sinr_codec.coding.varint import Reader
from sinr_codec.coding.weights import decode_weights, encode_weights
from sinr_codec.errors import InputError, MalformedError
from sinr_codec.fields.base import Decodable, Params
from sinr_codec.fields.pyramid import CONTEXT, Pyramid
from sinr_codec.fields.synthesis import check_sums
from sinr_codec.types import Array, JsonObject

NETWORKS: Final = "networks"
"""Name of the record of all networks."""
LATENTS: Final = "latents"
"""Name of the record of all latents."""


class PyramidSection:
    """Networks, then latents: two records, that of the latents being read with the context network."""

    decoding: ClassVar[int] = 0

    def records(self, field: Decodable, params: Params) -> dict[str, bytes]:
        """The records of a pyramid's parameters, by the names `NETWORKS` and `LATENTS`.

        Raises
        ------
        InputError
            Parameters of another field, or a context network whose sums may reach 2^31.
        MalformedError
            A synthesis network whose sums may reach 2^53.
        """
        pyramid = _pyramid(field)
        pyramid.check(params)
        check_sums(pyramid, params)
        levels = [params[name] for name in reversed(pyramid.latents)]
        return {
            NETWORKS: encode_weights([params[name] for name in pyramid.networks]),
            LATENTS: encode_latents(levels, context_model(pyramid, params), pyramid.halvings),
        }

    def assemble(self, field: Decodable, records: Mapping[str, bytes], planes: int = 0) -> CodedNetwork:
        """See `SectionCodec.assemble`."""
        if planes:
            raise InputError("progressive: a pyramid has no planes of last bits")
        return CodedNetwork(records[NETWORKS] + records[LATENTS])

    def decode(self, field: Decodable, coded: CodedNetwork) -> dict[str, Array]:
        """See `SectionCodec.decode`."""
        pyramid = _pyramid(field)
        reader = Reader(coded.section, "pyramid", coded.work, coded.memory)
        params = _networks(pyramid, reader)
        try:
            model = context_model(pyramid, params)
        except InputError as error:
            raise MalformedError(f"pyramid: {error}") from error
        shapes = [pyramid.size(level) for level in range(1, pyramid.levels + 1)]
        levels = decode_latents(reader, shapes, pyramid.channels, pyramid.halvings, model)
        params |= dict(zip(pyramid.latents, reversed(levels)))
        check_sums(pyramid, params)
        return params

    def describe(self, field: Decodable, section: bytes) -> list[JsonObject]:
        """See `SectionCodec.describe`: one entry for all networks, and one for all latents."""
        pyramid = _pyramid(field)
        reader = Reader(section, "pyramid")
        _networks(pyramid, reader)
        latents = pyramid.num_params - pyramid.network_params
        return [
            {"name": name, "shape": [count], "dtype": "int32", "bytes": size, "transform": coding}
            for name, count, size, coding in (
                (NETWORKS, pyramid.network_params, reader.position, "weights"),
                (LATENTS, latents, reader.remaining, "latents under a network"),
            )
        ]


def context_model(pyramid: Pyramid, params: Params) -> ContextModel:
    """The network that predicts latents. `InputError` where a sum may reach 2^31."""
    radii = pyramid.causal, pyramid.previous, pyramid.parent
    return ContextModel(pyramid.in_features, *radii, *(params[name] for name in CONTEXT))


def _networks(pyramid: Pyramid, reader: Reader) -> dict[str, Array]:
    """The parameters of all networks, read from the start of a section."""
    shapes = pyramid.networks
    weights = decode_weights(reader, [math.prod(shape) for shape in shapes.values()])
    return {name: w.astype(np.int32).reshape(shape) for (name, shape), w in zip(shapes.items(), weights)}


def _pyramid(field: Decodable) -> Pyramid:
    if not isinstance(field, Pyramid):
        raise InputError("section: expected a pyramid")
    return field
