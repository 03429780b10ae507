"""Brotli streams, decompressed in bounded memory."""

import brotli

from sinr_codec.errors import MalformedError, TruncatedError


def inflate(data: bytes, most: int, name: str) -> bytes:
    """Decompress a whole Brotli stream, or the first `most` + 1 bytes of a longer one.

    Raises
    ------
    MalformedError, TruncatedError : damaged, or truncated; `name` is what the message calls the stream
    """
    stream, out = brotli.Decompressor(), bytearray()
    try:
        out += stream.process(data, output_buffer_limit=most + 1)
        while not stream.is_finished() and len(out) <= most:
            more = stream.process(b"", output_buffer_limit=most + 1 - len(out))
            if not more and stream.can_accept_more_data():
                raise TruncatedError(f"{name}: a Brotli stream ends early")
            out += more
    except brotli.error:
        raise MalformedError(f"{name}: a Brotli stream is damaged") from None
    return bytes(out)
