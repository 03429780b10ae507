"""Pillow plug-in: importing this module lets `Image.open` and `Image.save` take `.sinr` files.

    import sinr_codec.integrations.pillow
    Image.open("photo.sinr").show()
    Image.open("photo.png").save("photo.sinr", preset="fast")

Opening reads the header only; the pixels are computed on `load`, which Pillow calls when they are needed.
"""

import contextlib
import inspect
from typing import IO, Any, Final

from PIL import Image, ImageFile

from sinr_codec import decoding
from sinr_codec.container import FIELD, MAGIC, read
from sinr_codec.errors import SinrError
from sinr_codec.signals import registry
from sinr_codec.signals.image import ImageSpec
from sinr_codec.signals.image_metadata import checked, info_of
from sinr_codec.signals.metadata import metadata_in

FORMAT: Final = "SINR"
MIME: Final = "image/x-sinr"


class SinrImageFile(ImageFile.ImageFile):
    """A picture in a `.sinr` file; `info` has its metadata, and "psnr", the recorded quality in dB."""

    format = FORMAT
    format_description = "Sparse implicit neural representation"

    def _open(self) -> None:
        # The file is small by nature, and every checksum is looked at before anything is trusted.
        assert self.fp is not None
        self._data: bytes | None = self.fp.read()
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

    def load(self) -> Any:
        """Compute the pixels."""
        if self._data is not None:
            try:
                picture = decoding.open(self._data).image()
            except SinrError as error:
                raise OSError(f"damaged .sinr file: {error}") from error
            self.im = picture.im
            self.palette = picture.palette
            self._data = None
        return super().load()


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(MAGIC)


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    """Encode; options of `Image.save` with the names of `sinr_codec.encode`'s are handed on."""
    from sinr_codec import codec  # the sender, which a reader of files does without

    known = inspect.signature(codec.encode).parameters.values()
    names = [p.name for p in known if p.kind is p.KEYWORD_ONLY and p.name in image.encoderinfo]
    options = {name: image.encoderinfo[name] for name in names}
    file.write(codec.encode(image, **options).blob)


Image.register_open(FORMAT, SinrImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".sinr")
Image.register_mime(FORMAT, MIME)
