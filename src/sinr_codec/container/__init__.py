"""The `.sinr` file: header, sections, checksums, limits."""

from sinr_codec.container.format import (
    BASE,
    DIGEST_BYTES,
    DTYPES,
    FIELD,
    MAGIC,
    MAX_QUALITY,
    STATE,
    VERSION,
    Header,
    TensorEntry,
    load,
    load_header,
    read,
    read_header,
    write,
)
from sinr_codec.container.limits import DEFAULT_LIMITS, OWN_LIMITS, Limits, remedy

__all__ = [
    "BASE",
    "DEFAULT_LIMITS",
    "DIGEST_BYTES",
    "DTYPES",
    "FIELD",
    "MAGIC",
    "MAX_QUALITY",
    "OWN_LIMITS",
    "STATE",
    "VERSION",
    "Header",
    "Limits",
    "TensorEntry",
    "load",
    "load_header",
    "read",
    "read_header",
    "remedy",
    "write",
]
