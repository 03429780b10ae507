"""The documented door to `foreign`: `compress` with its report and its description files, and `decompress`."""

from sinr_codec.foreign.compress import CompressReport, NetworkReport, compress, compress_report
from sinr_codec.foreign.decompress import decompress
from sinr_codec.foreign.descriptions import description_of

__all__ = ["CompressReport", "NetworkReport", "compress", "compress_report", "decompress", "description_of"]
