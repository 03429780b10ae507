"""Pillow plug-in: importing this module lets `Image.open` and `Image.save` take `.sinr` files.

    import sinr_codec.integrations.pillow
    Image.open("photo.sinr").show()
    Image.open("photo.png").save("photo.sinr", preset="fast")

Opening reads the header only; the pixels are computed on `load`, which Pillow calls when they are needed. A thumbnail
computes those that it needs. Saving fits a network, which takes a minute or two by default, and seconds with
`preset="fast"`; its options are those of `sinr_codec.encode`.
"""

import contextlib
import inspect
import math
import warnings
from collections.abc import Iterator
from typing import IO, Any, Final

from PIL import Image, ImageFile

from sinr_codec import decoding
from sinr_codec.container import FIELD, MAGIC, read
from sinr_codec.errors import QualityError, QualityWarning, SinrError
from sinr_codec.signals import registry
from sinr_codec.signals.image import ImageSignal, ImageSpec
from sinr_codec.signals.image_metadata import checked, info_of
from sinr_codec.signals.metadata import metadata_in

FORMAT: Final = "SINR"
MIME: Final = "image/x-sinr"
_METADATA: Final = ("icc_profile", "exif", "xmp", "dpi", "comment")  # options of Pillow's own writers
_OF_PILLOW: Final = ("save_all",)


class SinrImageFile(ImageFile.ImageFile):
    """A picture in a `.sinr` file; `info` has its metadata, and "psnr", the recorded quality in dB."""

    format = FORMAT
    format_description = "Sparse implicit neural representation"

    def _open(self) -> None:
        # The file is small by nature, and every checksum is looked at before anything is trusted.
        assert self.fp is not None
        self._data: bytes | None = self.fp.read()
        self._drafted: dict[str, tuple[int, int]] = {}
        try:
            header, _ = read(self._data)
            if header.kind != FIELD:
                raise OSError("the .sinr file holds the weights of a network, not a picture")
            kind = registry.kind_in_header(header.signal)
            if kind.name != ImageSpec.KIND:
                raise OSError(f"the .sinr file holds {kind.noun}, not a picture; use sinr_codec.decode")
            spec = ImageSpec.from_header(header.signal)
        except SinrError as error:
            raise OSError(f"damaged .sinr file: {error}") from error
        if not spec.pillow_mode:
            raise OSError(
                f"the .sinr file holds an array of {spec.channels} x {spec.dtype}, for which Pillow has no mode; "
                "use sinr_codec.decode"
            )
        self._mode = spec.pillow_mode
        self._size = spec.width, spec.height
        with contextlib.suppress(SinrError):  # damaged metadata do no harm
            metadata = metadata_in(header.extra)
            self.info.update(info_of(metadata))
            self.text: dict[str, str] = checked(metadata).get("text", {})
        if header.quality is not None:
            self.info["psnr"] = header.quality / 100
        self.tile = []

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> Any:
        """Compute fewer pixels on `load`: those of a picture not smaller than a size, in pixels across and down.

        `Image.thumbnail` asks for it. Returns the mode and the box that shows the picture, or None where nothing
        changes; `mode` is not followed.
        """
        if self._data is None or size is None:
            return None
        scale = max(size[0] / self.width, size[1] / self.height)
        if scale >= 1:
            return None
        self._size = math.ceil(self.width * scale), math.ceil(self.height * scale)
        self._drafted = {"size": (self.height, self.width)}
        return self.mode, (0, 0, *self._size)

    def load(self) -> Any:
        """Compute the pixels, and close the file."""
        if self._data is not None:
            try:
                picture = decoding.open(self._data).image(**self._drafted)
            except SinrError as error:
                raise OSError(f"damaged .sinr file: {error}") from error
            self.im = picture.im
            self._data = None
            if self._exclusive_fp and self.fp is not None:
                self.fp.close()
            self.fp = None
        return super().load()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Encode, with the options of `sinr_codec.encode` and of its pictures, and with Pillow's options for metadata.

    Others are warned of, and so are remarks on the file. Of a collapsed fit nothing is written.

    Raises
    ------
    QualityError : a picture that is hardly better than its mean
    """
    from sinr_codec import codec  # the sender, which a reader of files does without

    known = {
        name
        for function in (codec.encode, ImageSignal.load)
        for name, p in inspect.signature(function).parameters.items()
        if p.kind is p.KEYWORD_ONLY
    }
    given = image.encoderinfo
    for name in given:
        if name not in (*known, *_METADATA, *_OF_PILLOW):
            warnings.warn(f"{name}: not an option of .sinr files, ignored", stacklevel=4)
    with _metadata(image, given), warnings.catch_warnings():
        warnings.simplefilter("ignore", QualityWarning)  # an error here
        report = codec.encode(image, **{name: given[name] for name in given if name in known})
    if report.collapsed:
        raise QualityError(f"not written: {'; '.join(report.notes)}", report)
    for note in report.notes:
        warnings.warn(note, stacklevel=4)
    file.write(report.blob)


@contextlib.contextmanager
def _metadata(image: Image.Image, given: Any) -> Iterator[None]:
    """The metadata among the options of `Image.save` in an image's `info`, for a while."""
    before = image.info
    named = {name: given[name] for name in _METADATA if name in given}
    if isinstance(exif := named.get("exif"), Image.Exif):
        named["exif"] = exif.tobytes()
    image.info = {key: value for key, value in (before | named).items() if value is not None}
    try:
        yield
    finally:
        image.info = before


def register() -> None:
    """Let Pillow open and save `.sinr` files, as importing this module does."""
    Image.register_open(FORMAT, SinrImageFile, _accept)
    Image.register_save(FORMAT, _save)
    Image.register_extension(FORMAT, ".sinr")
    Image.register_mime(FORMAT, MIME)


register()
