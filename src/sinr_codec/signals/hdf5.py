"""HDF5 files, looked at before a library reads them."""

from pathlib import Path

from sinr_codec.errors import InputError, quoted
from sinr_codec.signals.sources import library


def check(path: Path, extra: str) -> None:
    """Refuse an HDF5 file with data in other files: whoever sends it would get files of this machine back.

    Parameters
    ----------
    path
        A file of any format.
    extra
        The extra of this package that installs h5py.

    Raises
    ------
    InputError : links to other files, external storage, or virtual datasets
    MissingExtraError : h5py is not installed, and the file may be HDF5
    """
    with path.open("rb") as file:
        if file.read(3) == b"CDF":
            return
    h5py = library("h5py", extra, path)
    if not h5py.is_hdf5(path):
        return
    with h5py.File(path, "r") as file:
        root = file.id

        def elsewhere(name: bytes) -> bytes | None:
            """The name, if what it stands for is in another file. Soft links are to other names, which are met, too."""
            kind = root.links.get_info(name).type
            if kind == h5py.h5l.TYPE_SOFT:
                return None
            if kind != h5py.h5l.TYPE_HARD:
                return name
            if h5py.h5o.get_info(root, name).type != h5py.h5o.TYPE_DATASET:
                return None
            created = h5py.h5d.open(root, name).get_create_plist()
            return name if created.get_external_count() or created.get_layout() == h5py.h5d.VIRTUAL else None

        found = root.links.visit(elsewhere)
        if found is not None:
            raise InputError(f"{path}: {quoted(found.decode(errors='replace'))} is in another file; expected one file")
