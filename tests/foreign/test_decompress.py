"""What a receiver of compressed networks loads."""

import subprocess
import sys
from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "conformance"

CODE = """
import sys
from sinr_codec import decompress
assert decompress(sys.argv[1])
packages = {name.split(".")[1] for name in sys.modules if name.startswith("sinr_codec.")}
assert not packages & {"planning", "fit", "methods", "encoding", "presets"}, packages
assert not {"sinr_codec.foreign.recognise", "sinr_codec.foreign.compress", "torch", "scipy"} & set(sys.modules)
"""


def test_a_receiver_loads_nothing_that_compresses():
    result = subprocess.run([sys.executable, "-c", CODE, GOLDEN / "direct.sinr"], check=False, capture_output=True)
    assert result.returncode == 0, result.stderr.decode()


def test_metadata_of_safetensors_comes_back(tmp_path):
    import numpy as np
    import safetensors

    from sinr_codec.foreign.checkpoints import write_checkpoint
    from sinr_codec.foreign.compress import compress
    from sinr_codec.foreign.decompress import decompress

    about = {"format": "pt", "note": "two\nlines"}
    write_checkpoint({"w": np.ones(3)}, tmp_path / "a.safetensors", metadata=about)
    decompress(compress(tmp_path / "a.safetensors"), tmp_path / "b.safetensors")
    with safetensors.safe_open(tmp_path / "b.safetensors", "np") as file:
        assert file.metadata() == about
    decompress(compress({"w": np.ones(3)}), tmp_path / "c.safetensors")
    with safetensors.safe_open(tmp_path / "c.safetensors", "np") as file:
        assert not file.metadata()
