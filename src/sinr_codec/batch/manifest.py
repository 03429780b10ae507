"""The manifest of an output folder: a line of JSON for every input that ended."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sinr_codec.batch.places import Folder
from sinr_codec.errors import InputError
from sinr_codec.types import Options

NAME: Final = "batch.jsonl"


@dataclass(frozen=True)
class Entry:
    """An input that ended.

    Attributes
    ----------
    input, output
        Address of the input, and name of the file in the folder.
    version, options
        Version of this package, and options of `codec.encode` that differ from the defaults.
    error
        Reason for a failure in one line; the following attributes are None then.
    input_sha256, input_bytes
        As from `places.content_hash`.
    output_sha256, output_bytes
        Of the output file.
    kind, measure, quality, figures, units, headline, bpp, target_met, seconds, notes
        As in `codec.EncodeReport`; None for a quality or a figure that is not finite.
    """

    input: str
    output: str
    version: str
    options: Options
    error: str | None = None
    input_sha256: str | None = None
    input_bytes: int | None = None
    output_sha256: str | None = None
    output_bytes: int | None = None
    kind: str | None = None
    measure: str | None = None
    quality: float | None = None
    figures: dict[str, float | None] | None = None
    units: dict[str, str] | None = None
    headline: Sequence[str] | None = None
    bpp: float | None = None
    target_met: bool | None = None
    seconds: float | None = None
    notes: Sequence[str] | None = None

    def stands_in(self, folder: Folder) -> bool:
        """Whether the output file exists unchanged."""
        data = None if self.error is not None else folder.read(self.output)
        return data is not None and hashlib.sha256(data).hexdigest() == self.output_sha256


class Manifest:
    """The entries of a folder, locked against other writers while open; a context manager.

    Raises
    ------
    InputError : another run has it open, or a line is not an entry
    """

    def __init__(self, folder: Folder) -> None:
        self._log = folder.log(NAME)
        self.entries: dict[str, Entry] = {}
        """The last entry of each input, by address."""
        for number, line in enumerate(self._log.lines, 1):
            try:
                entry = _entry_of(line)
            except (ValueError, TypeError) as error:
                self._log.close()
                raise InputError(
                    f"{folder.address}/{NAME}: line {number} is no entry of a batch; remove it, or name another --out"
                ) from error
            self.entries[entry.input] = entry

    def add(self, entry: Entry) -> None:
        """Append an entry; it is durable when this returns."""
        values = {name: value for name, value in dataclasses.asdict(entry).items() if value is not None}
        self._log.append(json.dumps(values, allow_nan=False).encode())
        self.entries[entry.input] = entry

    def __enter__(self) -> "Manifest":
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()


def _entry_of(line: bytes) -> Entry:
    values = json.loads(line)
    if not isinstance(values, dict):
        raise TypeError("expected an object")
    known = {field.name for field in dataclasses.fields(Entry)}
    entry = Entry(**{name: value for name, value in values.items() if name in known})
    if not (isinstance(entry.input, str) and isinstance(entry.output, str)):
        raise TypeError("expected the names of files")
    if "\0" in entry.input or not _is_name(entry.output):
        raise ValueError("expected an output in the folder")
    return entry


def _is_name(text: str) -> bool:
    """Whether a text is the name of a file in a folder, on any system, and no way out of it."""
    return text not in ("", ".", "..") and not set(text) & {"/", "\\", "\0"}
