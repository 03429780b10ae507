"""The section of interlaced samples: the network that predicts in one stream of weights, then the samples under it."""

import math
from collections.abc import Mapping
from typing import ClassVar, Final

import numpy as np

from sinr_codec.coding.interlaced import decode_grid, encode_grid
from sinr_codec.coding.records import CodedNetwork
from sinr_codec.coding.varint import Reader
from sinr_codec.coding.weights import decode_weights, encode_weights
from sinr_codec.errors import InputError, MalformedError
from sinr_codec.fields.base import Decodable, Params
from sinr_codec.fields.interlaced import SAMPLES, Interlaced
from sinr_codec.types import Array, JsonObject

NETWORK: Final = "predictor"
"""Name of the record of the network."""


class InterlacedSection:
    """The network, then the samples: two records, that of the samples being read with the network."""

    decoding: ClassVar[int] = 0

    def records(self, field: Decodable, params: Params) -> dict[str, bytes]:
        """The records of a field's parameters, by the names `NETWORK` and `SAMPLES`.

        Raises
        ------
        InputError
            Parameters of another field, or a weight or an integer that is too large.
        """
        samples = _field(field)
        samples.check(params)
        return {
            NETWORK: encode_weights([params[name] for name in samples.networks]),
            SAMPLES: encode_grid(params[SAMPLES], samples.halvings, samples.predictor(params)),
        }

    def assemble(self, field: Decodable, records: Mapping[str, bytes], planes: int = 0) -> CodedNetwork:
        """See `SectionCodec.assemble`."""
        if planes:
            raise InputError("progressive: interlaced samples have no planes of last bits")
        return CodedNetwork(records[NETWORK] + records[SAMPLES])

    def decode(self, field: Decodable, coded: CodedNetwork) -> dict[str, Array]:
        """See `SectionCodec.decode`."""
        samples = _field(field)
        reader = Reader(coded.section, "interlaced samples", coded.work, coded.memory)
        params = _network(samples, reader)
        try:
            predictor = samples.predictor(params)
        except InputError as error:
            raise MalformedError(f"interlaced samples: {error}") from error
        params[SAMPLES] = decode_grid(reader, samples.sizes, samples.halvings, predictor)
        reader.end()
        return params

    def describe(self, field: Decodable, section: bytes) -> list[JsonObject]:
        """See `SectionCodec.describe`: one entry for the network, and one for all samples."""
        samples = _field(field)
        reader = Reader(section, "interlaced samples")
        _network(samples, reader)
        count = samples.num_params - samples.network_params
        return [
            {"name": name, "shape": [number], "dtype": "int32", "bytes": size, "transform": coding}
            for name, number, size, coding in (
                (NETWORK, samples.network_params, reader.position, "weights"),
                (SAMPLES, count, reader.remaining, "samples under a network"),
            )
        ]


def _network(field: Interlaced, reader: Reader) -> dict[str, Array]:
    """The parameters of the network, read from the start of a section."""
    shapes = field.networks
    weights = decode_weights(reader, [math.prod(shape) for shape in shapes.values()])
    return {name: w.astype(np.int32).reshape(shape) for (name, shape), w in zip(shapes.items(), weights)}


def _field(field: Decodable) -> Interlaced:
    if not isinstance(field, Interlaced):
        raise InputError("section: expected interlaced samples")
    return field
