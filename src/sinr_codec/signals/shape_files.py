"""Volumes of zeros and ones from files: NumPy's and MATLAB's."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from sinr_codec.errors import InputError
from sinr_codec.signals import arrays
from sinr_codec.signals import mesh as meshes
from sinr_codec.signals.sources import existing, translated
from sinr_codec.types import Array


def read_volume(path: Path) -> Array:
    """The array of a `.npy` file, or the volume of a MATLAB file; `InputError` for what is neither."""
    existing(path, "a volume")
    with translated(path, "damaged array file: {reason}"):
        return arrays.read_npy(path) if path.suffix.lower() == ".npy" else _read_mat(path)


_MAT_READER: Final = """
import sys
import numpy as np
from scipy.io import loadmat
source, target = sys.argv[1:]
try:
    found = loadmat(source)
except NotImplementedError:
    sys.exit("a MATLAB 7.3 file; save it with -v7, or as .npy")
except Exception as error:
    sys.exit("damaged MATLAB file: " + " ".join(str(error).split()))
volumes = {key: value for key, value in found.items() if isinstance(value, np.ndarray) and value.ndim == 3}
chosen = found["hypercube"] if "hypercube" in found else next(iter(volumes.values())) if len(volumes) == 1 else None
if not isinstance(chosen, np.ndarray) or chosen.dtype.hasobject:
    names = ", ".join(volumes) or "none"
    sys.exit(f"expected an array named hypercube, or a single one of three axes; found {names}")
np.save(target, chosen, allow_pickle=False)
"""


def _read_mat(path: Path) -> Array:
    """The volume of a MATLAB file, read by a process of its own: damaged files can end the one that reads them."""
    meshes.require("scipy.io", "MATLAB files")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "volume.npy"
        command = [sys.executable, "-c", _MAT_READER, str(path), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not target.exists():
            reason = done.stderr.strip().splitlines()[-1] if done.returncode == 1 and done.stderr.strip() else ""
            raise InputError(f"{path}: {reason or 'damaged MATLAB file'}")
        return arrays.read_npy(target)
