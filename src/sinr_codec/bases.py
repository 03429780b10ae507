"""Bases: meta-learned networks shared by the files of many signals, which refer to the base's file by its hash."""

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from sinr_codec.coding.records import CodedNetwork, tensors_of
from sinr_codec.coding.tensor import Coding, Direct, Raw, decode_tensor, encode_tensor, is_lossy
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.container import BASE, DEFAULT_LIMITS, DIGEST_BYTES, FIELD, Header, Limits, write
from sinr_codec.errors import InputError, MalformedError
from sinr_codec.fields import MLP, Decodable, Difference, Modulated, Modulations, field_from_header
from sinr_codec.fields.base import manifest_of
from sinr_codec.fields.latents import LatentModel
from sinr_codec.fields.modulated import beside, beside_from_header, shared_from_header
from sinr_codec.sections import Source, check_tensors, load_source, naming, within_memory
from sinr_codec.signals import registry
from sinr_codec.signals.base import Signal, Spec
from sinr_codec.types import Array, Options, Params

STEP: Final = 2.0**-7
"""Quantisation step of a base's parameters, relative to the root mean square of the tensor: about 9 bits each."""
RATE_STEP: Final = 2.0**-5
"""The same for learning rates, which need less precision."""
MAX_STEPS: Final = 64
"""Most steps of an inner loop."""


@dataclass(frozen=True)
class Base:
    """A meta-learned network.

    Attributes
    ----------
    field
        An `MLP` if files code differences of all parameters; a `Modulated` if they code latents.
    patch
        Samples of a patch along each axis; empty if signals are not cut into patches.
    section
        The coded parameters, and the `LatentModel` of a `Modulated`.
    params, model
        The decoded parameters and model.
    inner
        The coded learning rates, which only encoding requires; empty in a base for decoding only.
    rates
        The decoded learning rates of inner steps by name of the adapted parameter, float32 (steps, ...), with axes of
        length 1 for a common rate.
    """

    field: MLP | Modulated
    patch: tuple[int, ...]
    section: bytes
    params: Params
    model: LatentModel | None = None
    inner: bytes = b""
    rates: Params | None = None

    @property
    def header(self) -> Header:
        """The header of its file."""
        return Header(BASE, self.field.to_header(), base=self.patch)

    @cached_property
    def decoding(self) -> bytes:
        """The file for decoding, without the rates."""
        return write(self.header, [self.section])

    @cached_property
    def digest(self) -> bytes:
        """The first bytes of the SHA-256 of `decoding`: the base's id in the files that need it."""
        return hashlib.sha256(self.decoding).digest()[:DIGEST_BYTES]

    @property
    def receiver_bytes(self) -> int:
        """Size of the base for a decoder, in bytes."""
        return len(self.decoding)

    def to_bytes(self) -> bytes:
        """The file, with the rates if any."""
        return write(self.header, [self.section, self.inner]) if self.inner else self.decoding

    def network(self, spec: Spec) -> Modulations | Difference:
        """The field of a signal's own parameters, for its `Spec`."""
        return beside(self.field, self.params, sizes_of(spec) if self.patch else (), self.patch, self.model)

    @property
    def encoding_rates(self) -> Params:
        """The learning rates, for encoding.

        Raises
        ------
        InputError : the base has none
        """
        if self.rates is None:
            raise InputError("base: has no rates, and so it can only decode; expected the file that `sinr learn` wrote")
        return self.rates


def make_base(
    field: MLP | Modulated,
    params: Params,
    patch: tuple[int, ...] = (),
    rates: Params | None = None,
    model: LatentModel | None = None,
    step: float = STEP,
) -> Base:
    """A base with learned parameters, rounded to multiples of `step` times their root mean square."""
    records = b"".join(encode_tensor(params[name], _coding(params[name], step)) for name in field.shapes())
    decoded = tensors_of(manifest_of(field), CodedNetwork(records))
    inner = b"" if rates is None else _coded_rates(rates)
    base = Base(field, patch, records, decoded, None, inner, _rates(inner, field, DEFAULT_LIMITS))
    return with_model(base, model)


def with_model(base: Base, model: LatentModel | None) -> Base:
    """The base with a model of its latents, whose statistics depend on the rounded parameters."""
    return base if model is None else replace(base, section=base.section + model.to_bytes(), model=model)


def read_base(source: Source, limits: Limits = DEFAULT_LIMITS) -> Base:
    """Read a base.

    Raises
    ------
    FormatError : a file that breaks the format, or goes beyond the limits
    InputError : no such file, or not a base
    """
    header, sections = load_source(source, limits)
    with naming(source), within_memory():
        if header.kind != BASE:
            raise InputError("holds no base; expected what `sinr learn` wrote")
        return base_in(header, sections, limits)


def named_base(header: Header, sections: list[bytes], limits: Limits) -> Base:
    """The base of a file without its decoded numbers: all that its name and description need."""
    limits = limits.of_file(header.file_bytes)
    field = shared_from_header(header.field, limits.max_params)
    patch = header.base if isinstance(header.base, tuple) else ()
    if len(patch) not in (0, field.in_features) or (patch and not field.latents):
        raise MalformedError("the patch of modulations has a length for every coordinate, or there is none")
    if not 1 <= len(sections) <= 2:
        raise MalformedError(f"expected one or two sections, found {len(sections)}")
    inner = sections[1] if len(sections) > 1 else b""
    if len(sections) > 1 and not inner:
        raise MalformedError("an empty section of rates is left out, not written")
    check_tensors(manifest_of(field), limits)
    return Base(field, patch, sections[0], {}, None, inner)


def base_in(header: Header, sections: list[bytes], limits: Limits) -> Base:
    """The base of a file, from its header and sections; as `read_base`."""
    limits = limits.of_file(header.file_bytes)
    base = named_base(header, sections, limits)
    field = base.field
    reader = Reader(base.section, "base", limits.bound("max_work"))
    params = {name: decode_tensor(reader, shape, dtype) for name, shape, dtype in manifest_of(field)}
    model = LatentModel.from_reader(reader, field.latents) if field.latents else None
    reader.end()
    return replace(base, params=params, model=model, rates=_rates(base.inner, field, limits))


def load_signal(source: object, kind: str | None, options: Options) -> Signal:
    """Read a signal as one part: a sound is not cut into blocks, because its patches are short enough."""
    read = registry.kind_of(source) if kind is None else registry.kind_named(kind)
    signal = registry.load(source, read.name, **{**read.whole, **options})
    if len(signal.parts) != 1:
        raise InputError(f"base: expected a signal of one network, found {len(signal.parts)}")
    return signal


def sizes_of(spec: Spec) -> tuple[int, ...]:
    """Samples of a signal along each axis of its grid."""
    return tuple(spec.describe()["shape"])[: spec.in_features]


def base_of(header: Header, base: "Base | Source | None", limits: Limits) -> Base | None:
    """The base for a file, from the given one; None if the file needs none.

    Raises
    ------
    InputError : the base is missing, or another one
    """
    if header.base is None or header.kind != FIELD:
        return None
    needed = bytes(header.base).hex()
    if base is None:
        raise InputError(f"needs the base {needed}; name its file with base (--base FILE)")
    found = base if isinstance(base, Base) else read_base(base, limits)
    if found.digest != header.base:
        raise InputError(f"needs the base {needed}, but the one given is {found.digest.hex()}")
    return found


def network_of(header: Header, base: Base | None, limits: Limits) -> Decodable:
    """The field in the file of a signal, checked against its base and the limits."""
    if base is None:
        return field_from_header(header.field, limits.max_params)
    network = beside_from_header(header.field, base.field, base.params, base.patch, base.model)
    limits.check("max_params", network.num_params)
    return network


def _coded_rates(rates: Params) -> bytes:
    """The number of steps, whether each parameter has its own rates, then the records."""
    steps = min(len(rate) for rate in rates.values())
    each = any(rate[0].size > 1 for rate in rates.values())
    records = (encode_tensor(rate, _coding(rate, RATE_STEP) if each else Raw()) for rate in rates.values())
    return b"".join([write_varint(steps), bytes([each]), *records])


def _rates(section: bytes, field: MLP | Modulated, limits: Limits) -> dict[str, Array] | None:
    """Inverse of `_coded_rates`; None without rates."""
    if not section:
        return None
    reader = Reader(section, "rates")
    steps, each = reader.varint(MAX_STEPS), reader.byte()
    if steps < 1 or each > 1:
        raise MalformedError("rates: expected a number of steps, and 0 or 1")
    shapes = {name: (steps, *(shape if each else (1,) * len(shape))) for name, shape in field.adapted().items()}
    limits.check("max_params", sum(math.prod(shape) for shape in shapes.values()))
    check_tensors([(name, shape, np.dtype(np.float32)) for name, shape in shapes.items()], limits)
    rates = {name: decode_tensor(reader, shape, np.float32) for name, shape in shapes.items()}
    reader.end()
    return rates


def _coding(value: Array, step: float) -> Coding:
    power = float(np.sqrt(np.mean(np.abs(value.astype(np.complex128)) ** 2))) if is_lossy(value) else 0.0
    # a power of two, so that rounding is idempotent
    return Direct(step=2.0 ** math.floor(math.log2(step * power))) if power > 0 else Raw()
