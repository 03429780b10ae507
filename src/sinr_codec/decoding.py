"""Decoding of files to signals."""

import contextlib
import inspect
import io
import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from sinr_codec.bases import Base, base_of, network_of
from sinr_codec.coding.records import CodedNetwork
from sinr_codec.container import BASE, DEFAULT_LIMITS, FIELD, Header, Limits, remedy, write
from sinr_codec.devices import CPU, check_device, is_cpu
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, SinrError, quoted
from sinr_codec.evaluators import cost_of, decoder_on, evaluate, tile_of
from sinr_codec.fields import Decodable, family_of
from sinr_codec.fields.base import manifest_of
from sinr_codec.files import check_output
from sinr_codec.sections import Source, check_tensors, coded_networks, load_source, naming, within_memory
from sinr_codec.signals import registry
from sinr_codec.signals.base import Apply, Fields, Spec
from sinr_codec.signals.metadata import KEY, metadata_in
from sinr_codec.signals.options import check_options
from sinr_codec.streams import Output, as_output, is_name, name_of
from sinr_codec.types import Array, Cbor

logger = logging.getLogger(__name__)

_DEVICE_THREADS: Final = 2  # one prepares coordinates and samples while the other waits for the accelerator
_WIDEST: Final = 8  # bytes of a value of a kind that does not tell
_SHOWN: Final = 1 << 34  # multiply-adds of a picture in a notebook: seconds
_FRAMED: Final = 1 << 23  # bytes of a file in a notebook
_KEPT: Final = 256  # cached decoded networks of a file; two rows of blocks have fewer below 65,536 pixels

if TYPE_CHECKING:
    from PIL.Image import Image

_T = TypeVar("_T")


class _Networks(Sequence[Apply]):
    """The networks of a file, each decoded on access; errors name the file and the network."""

    def __init__(
        self,
        network: Decodable,
        coded: Sequence[CodedNetwork],
        base: Base | None,
        source: str,
        device: str,
        exact: bool,
    ) -> None:
        self.network, self.coded, self.base, self.source = network, coded, base, source
        self.device, self.exact = device, exact
        self._params: dict[int, dict[str, Array]] = {}
        self._applies: dict[int, Apply] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self.coded)

    def __getitem__(self, number: Any) -> Any:
        return self._kept(self._applies, number, lambda: self._decoder(number))

    def _decoder(self, number: int) -> Apply:
        with naming(self.source), self._naming(number):
            return decoder_on(self.network, self.params(number), self.device, self.exact)

    def params(self, number: int) -> dict[str, Array]:
        """Weights of one network."""

        def decoded() -> dict[str, Array]:
            with naming(self.source), self._naming(number):
                return family_of(self.network).section.decode(self.network, self.coded[number])

        return self._kept(self._params, number, decoded)

    def _kept(self, known: dict[int, _T], number: int, make: Callable[[], _T]) -> _T:
        """A cached value for a network, computed if missing; the least recently used is evicted."""
        with self._lock:
            known[number] = known.pop(number) if number in known else make()
            if len(known) > _KEPT:
                del known[next(iter(known))]
            return known[number]

    @contextlib.contextmanager
    def _naming(self, number: int) -> Iterator[None]:
        try:
            yield
        except FormatError as error:
            if len(self) == 1:
                raise
            raise type(error)(f"network {number + 1} of {len(self)}: {error}") from error


@dataclass(frozen=True, repr=False)
class Decoder:
    """An open `.sinr` file of a signal: call it at coordinates, or render it at any size.

    Attributes
    ----------
    header
        The file's header.
    network
        The field; each part of the signal has its own weights.
    spec
        Shape, dtype and conventions of the source.
    limits
        Resource limits, also of renderings.
    """

    header: Header
    network: Decodable
    spec: Spec
    limits: Limits
    _networks: _Networks

    def __reduce__(self) -> tuple[Any, ...]:
        known = self._networks
        return _restored, (
            self.header,
            self.spec.side,
            known.coded,
            known.base,
            known.source,
            self.device,
            self.exact,
            self.limits,
        )

    def __repr__(self) -> str:
        about, header = self.spec.describe(), self.header
        size = header.header_bytes + sum(length + 4 for length in header.section_lengths)
        words = [
            registry.kind_in_header(header.signal).noun,
            " x ".join(map(str, about["shape"])),
            str(about.get("mode") or about.get("dtype") or ""),
        ]
        quality = "" if header.quality is None else f", {header.quality / 100:.2f} dB"
        return f"<Decoder of {' '.join(filter(None, words))}, {size:,} bytes{quality}>"

    def _repr_png_(self) -> bytes | None:
        """A picture of the signal for notebooks, smaller where it is large; None where it has none or takes long."""
        return self._shown(".png")

    def _repr_html_(self) -> str | None:
        """The viewer with this file, for notebooks; None for a large file, or one whose end is missing."""
        there, declared = self.planes
        if there < declared or self.header.file_bytes > _FRAMED:
            return None
        from sinr_codec.view import frame_with

        coded, side = self._networks.coded, [self.spec.side] if self.spec.side else []
        planes = [one.planes[number] for number in range(declared) for one in coded]
        blob = write(self.header, [*(one.section for one in coded), *side, *planes], self.limits)
        base = self._networks.base
        return frame_with(Path(self._networks.source).name, blob, None if base is None else base.decoding)

    def _shown(self, format: str) -> bytes | None:
        """The signal in a format, of at most `_SHOWN` multiply-adds; None where that cannot be."""
        share = _SHOWN / max(self.network.work * self.spec.samples, 1)
        options: dict[str, Any] = {}
        if share < 1:
            if "scale" not in inspect.signature(self.spec.render).parameters:
                return None
            options["scale"] = share ** (1 / self.spec.in_features)
        out = io.BytesIO()
        try:
            self.save(out, format=format, **options)
        except SinrError:
            return None
        return out.getvalue()

    @property
    def device(self) -> str:
        """Device for evaluating the network."""
        return self._networks.device

    @property
    def exact(self) -> bool:
        """Whether the network is evaluated by integers, and values are the same bits on every machine."""
        return self._networks.exact or self.network.INTEGERS

    @property
    def planes(self) -> tuple[int, int]:
        """Planes of low-order bits of a progressive file: present for all networks, and in the complete file."""
        return min(len(one.planes) for one in self._networks.coded), self.header.planes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source."""
        return tuple(self.spec.describe()["shape"])

    @property
    def params(self) -> dict[str, Array]:
        """Weights of the network, or of the first of several."""
        return self._networks.params(0)

    @property
    def metadata(self) -> dict[str, Cbor]:
        """What the source told besides its samples, such as a picture's colour profile; empty where that is damaged.

        `verify` reports damage.
        """
        try:
            return metadata_in(self.header.extra)
        except FormatError:
            return {}

    @property
    def fields(self) -> Fields:
        """The networks, for a renderer."""
        return Fields(
            self._networks,
            tile_of(self.network, self.device, self.exact),
            min(self._most_samples().values()),
            None if is_cpu(self.device) else _DEVICE_THREADS,
            self.limits.bound("max_work") // cost_of(self.network),
            self.limits.bound("max_bytes"),
        )

    def _most_samples(self) -> dict[str, int]:
        """The values that a rendering may have, by the limit that sets them."""
        positions = self.limits.bound("max_work") // cost_of(self.network)
        return {
            "max_samples": self.limits.max_samples,
            "max_bytes": self.limits.bound("max_bytes") // getattr(self.spec, "value_bytes", _WIDEST),
            "max_work": positions * self.spec.out_features,
        }

    def __call__(self, coords: Array, part: int = 0) -> Array:
        """Values float32 (..., b), not clipped, at coords (..., a) in the field's domain [-1, 1]^a.

        A signal in blocks has several networks, each with its own domain; `part` selects one.
        """
        try:
            # Through float64, which rejects complex numbers and text.
            coords = np.asarray(coords).astype(np.float64, casting="same_kind").astype(np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"coords: expected an array of numbers ({error})") from error
        if coords.shape[-1:] != (self.network.in_features,):
            raise InputError(f"coords: expected shape (..., {self.network.in_features}), found {coords.shape}")
        if not 0 <= part < len(self._networks):
            raise InputError(f"part: expected 0 to {len(self._networks) - 1}, got {quoted(part)}")
        flat = coords.reshape(-1, self.network.in_features)
        outputs = self.network.out_features
        if not len(flat):
            return np.zeros((*coords.shape[:-1], outputs), np.float32)
        values = evaluate(self._networks[part], flat, tile_of(self.network, self.device, self.exact))
        return values.reshape(*coords.shape[:-1], outputs)

    def render(self, **options: Any) -> Any:
        """Render the signal as samples in the source's dtype, or as an object of the usual library for its kind.

        The options are those of the kind's `Spec.render`, such as `scale`, `size` and `region` of a picture.
        """
        check_options(self.spec.render, options, f"a file of kind {self.spec.KIND}")
        with self._bounded():
            return self.spec.render(self.fields, **options)

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[None]:
        """Name the limit that a rendering exceeds, and the remedy."""
        try:
            with within_memory():
                yield
        except LimitError as error:
            if "max_" in str(error):
                raise
            most = self._most_samples()
            least = min(most, key=lambda name: most[name])
            raise LimitError(f"{error} ({least}); ask for less, or {remedy(least)}") from error

    def image(self, **options: Any) -> "Image":
        """Render a picture as a Pillow image in the source's mode; options as for `render`."""
        from sinr_codec.signals.image import ImageSpec

        if not isinstance(self.spec, ImageSpec):
            raise InputError(f"image: the file holds a signal of kind {self.spec.KIND}; use render or save")
        return self.spec.image(self.render(**options), self.metadata)

    def save(self, out: Output, *, format: str | None = None, **options: Any) -> Any:
        """Render the signal and write it, with the metadata that the format holds.

        The extension selects the format. Options as for `render`.

        Parameters
        ----------
        out
            A path, or a file open for writing bytes, such as a pipe.
        format
            The extension, for an output without a name; default: that of the kind.
        options
            Options of the kind's `Spec.render`.

        Returns
        -------
        The rendering.

        Raises
        ------
        InputError : a format that is not written, a path that cannot be written, or an unsuitable option; most of
            these before anything is rendered
        MissingExtraError : the library of the format is not installed; before anything is rendered
        """
        suffix = self.spec.suffix if format is None else f".{format.removeprefix('.')}"
        if format is not None and is_name(out) and not os.fspath(out).lower().endswith(suffix.lower()):
            raise InputError(f"{os.fspath(out)}: expected the extension {suffix} of the format, or no format")
        check_options(self.spec.render, options, f"a file of kind {self.spec.KIND}")
        check_output(out)
        with as_output(out, suffix) as path:
            registry.kind_in_header(self.header.signal).writes(path)
            logger.debug("%s: render %d networks", name_of(out), len(self._networks))
            with self._bounded():
                if hasattr(self.spec, "write"):
                    return self.spec.write(self.fields, path, **options)
                decoded = self.render(**options)
                logger.debug("%s: write %s", name_of(out), self.spec.summary(decoded))
                about = {KEY: self.metadata} if KEY in inspect.signature(self.spec.save).parameters else {}
                self.spec.save(decoded, path, **about)
        return decoded


def open(
    source: Source,
    *,
    base: Base | Source | None = None,
    progressive: bool = False,
    device: str = CPU,
    fast: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Decoder:
    """Open a `.sinr` file of a signal. The weights of a single network are decoded; nothing is rendered yet.

    For a signal in blocks, each network is decoded on first use, when damage to it raises an error.

    `base` is a `Base` or its file, required for files that name one. With `progressive`, the end of the file may be
    missing; the precision of the weights depends on the part present (`Decoder.planes`). The network is evaluated by
    NumPy, or on another `device` ("cuda", ...) by PyTorch. With `fast`, floats are used instead of integers, so that
    samples may differ in the last bit.

    Raises
    ------
    FormatError : a file that breaks the format or exceeds the limits
    InputError : no such file, a file of a network instead of a signal, a missing or wrong base, or an unusable device
    MissingExtraError : PyTorch is not installed, and `device` is not the CPU
    """
    check_device(device)
    header, sections = load_source(source, limits, partial=progressive)
    with naming(source), within_memory():
        return opened(source, header, sections, limits, base, device, fast)


def opened(
    source: Source,
    header: Header,
    sections: list[bytes],
    limits: Limits,
    base: Base | Source | None,
    device: str = CPU,
    fast: bool = False,
) -> Decoder:
    """The decoder of a file, from its header and sections."""
    if header.kind == BASE:
        raise InputError("holds a base, not a signal; name it with base where a file needs it")
    if header.kind != FIELD:
        raise InputError("holds the weights of a network, not a signal; use decompress")
    shared = base_of(header, base, limits)
    limits = limits.of_file(header.file_bytes)
    network, spec, records = described(header, sections, limits, shared)
    networks = _Networks(network, records, shared, name_of(source), device, header.exact and not fast)
    if len(networks) == 1:
        networks.params(0)
    return Decoder(header, network, spec, limits, networks)


def _restored(
    header: Header,
    side: bytes,
    coded: list[CodedNetwork],
    base: Base | None,
    source: str,
    device: str,
    exact: bool,
    limits: Limits,
) -> Decoder:
    """The decoder of a file whose parts were checked already, as for another process."""
    network = network_of(header, base, limits)
    spec = registry.spec_from_header(header.signal, side)
    return Decoder(header, network, spec, limits, _Networks(network, coded, base, source, device, exact))


def described(
    header: Header, sections: list[bytes], limits: Limits, base: Base | None
) -> tuple[Decodable, Spec, list[CodedNetwork]]:
    """Field, signal and coded networks of a file, checked against each other and the limits."""
    limits = limits.of_file(header.file_bytes)
    network = network_of(header, base, limits)
    parts = registry.kind_in_header(header.signal).parts_in(header.signal)
    coded, side = coded_networks(header, sections, parts, limits)
    limits.check("max_params", network.num_params * parts)
    check_tensors(manifest_of(network), limits, min(parts, _KEPT), family_of(network).section.decoding)
    spec = registry.spec_from_header(header.signal, side)
    if header.exact and not network.EXACT:
        raise MalformedError("the field has no evaluation by integers")
    if (network.in_features, network.out_features) != (spec.in_features, spec.out_features):
        raise MalformedError("the field's coordinates and values are not those of the signal")
    limits.check("max_samples", spec.values)
    return network, spec, coded


def decode(
    source: Source,
    out: Output | None = None,
    *,
    format: str | None = None,
    base: Base | Source | None = None,
    progressive: bool = False,
    device: str = CPU,
    fast: bool = False,
    limits: Limits = DEFAULT_LIMITS,
    **options: Any,
) -> Any:
    """Decode a `.sinr` file of a signal, whole or in part, at any size.

    Parameters
    ----------
    source
        A file, its bytes, or an open binary file.
    out
        File to write, or an open binary file; the extension names the format.
    format
        Extension of the format, such as "png", for an open file; default: that of the kind.
    base
        The base, if the file needs one.
    progressive
        Accept a file whose end is missing, at reduced quality; see `encode`.
    device
        Device for evaluating the networks: "cpu", which does not require PyTorch, or "cuda", ...
    fast
        Evaluate by floats where the file asks for integers: about twice as fast, but the last bits may differ.
    limits
        Resource limits of this reader.
    options
        Options of the kind's `Spec.render`. A picture has `scale` (factor on the source's size), `size` (h, w) of the
        result, and `region` (left, top, right, bottom) in pixels of the source.

    Returns
    -------
    The signal: for a picture, an array (h, w) or (h, w, C) in the source's dtype.
    """
    if out is not None:
        check_output(out, source)
    decoder = open(source, base=base, progressive=progressive, device=device, fast=fast, limits=limits)
    if out is None:
        return decoder.render(**options)
    return decoder.save(out, format=format, **options)
