"""Access to inputs and output folders, local or by the URLs of fsspec.

An *address* names a file or a folder independently of the working directory: an absolute path, or a URL.
"""

import contextlib
import hashlib
import os
import secrets
import stat
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from sinr_codec.arguments import check_magic, check_replaceable
from sinr_codec.container import MAGIC
from sinr_codec.errors import InputError, MissingExtraError, MissingFileError, SinrError, explain
from sinr_codec.files import check_output, write_bytes
from sinr_codec.types import PathLike


def address_of(path: PathLike) -> str:
    """The address of a path or a URL; `file://` URLs become paths.

    Raises
    ------
    InputError : a URL scheme that fsspec does not know
    MissingExtraError : fsspec, or its backend for this URL scheme, is not installed
    """
    text = os.fspath(path).removeprefix("file://")
    if not is_remote(text):
        return os.path.abspath(text)
    if "::" in text:  # a URL within another, or within a local file
        *links, last = text.split("::")
        last = address_of(last)
        known = is_remote("::".join([*links, last]))
        return "::".join([*links, last if known else f"file://{last}"])
    system, inside = filesystem(text)
    return str(system.unstrip_protocol(inside))


def is_remote(address: str) -> bool:
    """Whether an address requires fsspec."""
    return "://" in address


def filesystem(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError(f"{url}: needs fsspec: pip install 'sinr-codec[batch]'") from error
    try:
        system, inside = url_to_fs(url)
    except ImportError as error:
        raise MissingExtraError(f"{url}: {error}") from error
    except ValueError as error:
        raise InputError(f"{url}: {error}") from error
    return system, inside


# -- inputs ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def fetched(address: str) -> Iterator[Path]:
    """A local file or folder; remote ones are copied under their name for the duration of the block.

    Raises
    ------
    InputError : no such file
    """
    if not is_remote(address):
        if not os.path.exists(address):
            raise MissingFileError(f"{address}: no such file")
        _refuse_device(address)
        yield Path(address)
        return
    system, inside = filesystem(address)
    if not system.exists(inside):
        raise MissingFileError(f"{address}: no such file")
    with tempfile.TemporaryDirectory(prefix="sinr-") as folder:
        local = Path(folder) / PurePosixPath(inside).name
        system.get(inside, str(local), recursive=system.isdir(inside))
        yield local


def content_hash(address: str) -> tuple[str, int]:
    """The SHA-256 of an input, in hexadecimal, and its size in bytes.

    For a file, the hash is over its content; for a folder, over the names and SHA-256 of all its files, sorted by name.

    Raises
    ------
    OSError : no such file, or it cannot be read
    InputError : a device
    """
    _refuse_device(address)
    folder, files = _files_of(address)
    whole, size = hashlib.sha256(), 0
    for name, open_file in sorted(files.items()):
        digest = hashlib.sha256()
        with open_file() as file:
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
        if not folder:
            return digest.hexdigest(), size
        whole.update(name.encode(errors="surrogateescape") + b"\0" + digest.digest())
    return whole.hexdigest(), size


def _refuse_device(address: str) -> None:
    """Refuse what never ends."""
    if os.path.exists(address) and stat.S_ISCHR(os.stat(address).st_mode):
        raise InputError(f"{address}: is a device; expected a file or a folder")


def _files_of(address: str) -> tuple[bool, dict[str, Callable[[], Any]]]:
    """Whether an address is a folder, and functions that open its files, by name."""
    if is_remote(address):
        system, inside = filesystem(address)
        folder = system.isdir(inside)
        there = system.find(inside) if folder else [inside]
        return folder, {path.removeprefix(inside): partial(system.open, path, "rb") for path in there}
    path = Path(address)
    folder = path.is_dir()
    here = [each for each in path.rglob("*") if each.is_file()] if folder else [path]
    return folder, {f"/{each.relative_to(path).as_posix()}": partial(each.open, "rb") for each in here}


# -- outputs ---------------------------------------------------------------------------------------------------


class Log(Protocol):
    """An append-only file of lines."""

    lines: list[bytes]
    """The lines at opening."""

    def append(self, line: bytes) -> None:
        """Append a line, given without its end; it is durable when this returns."""

    def close(self) -> None:
        """Release the file for other writers."""


class Folder(Protocol):
    """An output folder."""

    address: str

    def read(self, name: str) -> bytes | None:
        """A file's content; None if there is no such file."""

    def check(self, name: str) -> None:
        """Raise `InputError` if a file cannot be written because its name is taken."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file atomically."""

    def log(self, name: str) -> Log:
        """Open a file of lines. An incomplete last line, from a run that was killed, is removed.

        Raises
        ------
        InputError : another process has it open
        """


def open_folder(path: PathLike) -> Folder:
    """Open a folder for outputs, and create it if needed.

    Raises
    ------
    InputError : it is a file, or cannot be created
    MissingExtraError : fsspec is required but not installed
    """
    address = address_of(path)
    return RemoteFolder(address) if is_remote(address) else LocalFolder(address)


class LocalFolder:
    """A local folder."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._path = Path(address)
        if self._path.exists() and not self._path.is_dir():
            raise InputError(f"{address}: is a file; expected a folder for the outputs")
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{address}: cannot be made ({error.strerror})") from error

    def read(self, name: str) -> bytes | None:
        """See `Folder`."""
        try:
            return (self._path / name).read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            return None

    def check(self, name: str) -> None:
        """See `Folder`."""
        check_output(self._path / name)
        check_replaceable(self._path / name)

    def write(self, name: str, data: bytes) -> None:
        """See `Folder`."""
        write_bytes(self._path / name, data)

    def log(self, name: str) -> Log:
        """See `Folder`."""
        return _LocalLog(self._path / name)


class _LocalLog:
    def __init__(self, path: Path) -> None:
        self._path = path
        # Without a buffer, a line is a single write, which an interrupt cannot split.
        try:
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error
        try:
            _lock(self._file, path)
            self._file.seek(0)
            text = self._file.read()
            whole = text[: text.rfind(b"\n") + 1]
            if whole != text:
                self._file.truncate(len(whole))
            self.lines = whole.splitlines()
        except BaseException:
            self.close()
            raise

    def append(self, line: bytes) -> None:
        try:
            if self._file.write(line + b"\n") != len(line) + 1:
                raise InputError(f"{self._path}: cannot be written to its end; is the disk full?")
            os.fsync(self._file.fileno())
        except OSError as error:
            raise InputError(f"{self._path}: cannot be written ({error.strerror})") from error

    def close(self) -> None:
        self._file.close()


def _lock(file: IO[bytes], path: Path) -> None:
    """Lock a file against other processes until it is closed or this process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InputError(f"{path}: another run writes to this folder; wait for it, or name another --out") from error
    except OSError:  # a file system without locks
        return


class RemoteFolder:
    """A folder opened by fsspec."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._system, self._path = filesystem(address)
        with remote_errors(address):
            self._system.makedirs(self._path, exist_ok=True)

    def read(self, name: str) -> bytes | None:
        """See `Folder`."""
        with remote_errors(f"{self.address}/{name}"):
            try:
                data: bytes = self._system.cat_file(self._at(name))
            except (FileNotFoundError, IsADirectoryError):
                return None
            return data

    def check(self, name: str) -> None:
        """See `Folder`."""
        with remote_errors(f"{self.address}/{name}"):
            if self._system.exists(self._at(name)):
                with self._system.open(self._at(name), "rb") as file:
                    check_magic(f"{self.address}/{name}", file.read(len(MAGIC)))

    def write(self, name: str, data: bytes) -> None:
        """See `Folder`; if the file system cannot rename over a file, it is written in place."""
        temporary = self._at(f".{name}.{secrets.token_hex(4)}.partial")
        with remote_errors(f"{self.address}/{name}"):
            try:
                self._system.pipe_file(temporary, data)
                try:
                    self._system.mv(temporary, self._at(name))
                except (NotImplementedError, OSError):
                    self._system.pipe_file(self._at(name), data)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    self._system.rm_file(temporary)

    def log(self, name: str) -> Log:
        """See `Folder`; object stores cannot append, so each line rewrites the whole file."""
        return _RemoteLog(self, name)

    def _at(self, name: str) -> str:
        return f"{self._path.rstrip('/')}/{name}"


@contextlib.contextmanager
def remote_errors(url: str) -> Iterator[None]:
    """Translate a file system's errors, whose classes vary, into an `InputError` with the URL."""
    try:
        yield
    except SinrError:
        raise
    except Exception as error:
        raise InputError(f"{url}: {explain(error) or f'{type(error).__name__}: {error}'}") from error


class _RemoteLog:
    def __init__(self, folder: RemoteFolder, name: str) -> None:
        self._folder, self._name = folder, name
        text = folder.read(name) or b""
        self._text = text[: text.rfind(b"\n") + 1]
        self.lines = self._text.splitlines()

    def append(self, line: bytes) -> None:
        self._text += line + b"\n"
        self._folder.write(self._name, self._text)

    def close(self) -> None:
        pass
