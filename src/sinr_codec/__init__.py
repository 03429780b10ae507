"""sinr-codec: signals as small neural networks, and such networks as small files.

    import sinr_codec as sinr

    report = sinr.encode("photo.png", "photo.sinr")         # fit a network, code it, measure the file
    array = sinr.decode("photo.sinr", scale=2)              # at any size or region
    field = sinr.open("photo.sinr"); field(coords)          # at any point
    blob = sinr.compress("siren.pth"); sinr.decompress(blob)    # somebody else's network

What is not needed is not imported: `torch` only where something is fitted.
"""

from typing import TYPE_CHECKING, Any, Final

from sinr_codec.errors import SinrError

if TYPE_CHECKING:
    from sinr_codec.batch import encode_many
    from sinr_codec.codec import encode
    from sinr_codec.decoding import decode, open
    from sinr_codec.foreign.compress import compress
    from sinr_codec.foreign.decompress import decompress
    from sinr_codec.inspecting import info, verify
    from sinr_codec.learning import learn

__version__ = "0.1.0"
__all__ = ["SinrError", "compress", "decode", "decompress", "encode", "encode_many", "info", "learn", "open", "verify"]
_MODULES: Final = {
    "compress": "foreign.compress",
    "decode": "decoding",
    "decompress": "foreign.decompress",
    "encode": "codec",
    "encode_many": "batch",
    "info": "inspecting",
    "learn": "learning",
    "open": "decoding",
    "verify": "inspecting",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"sinr_codec.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__doc__", "__version__"])
