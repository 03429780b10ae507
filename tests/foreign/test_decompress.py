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
