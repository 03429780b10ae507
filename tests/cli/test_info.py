"""`sinr info`: text and JSON."""

import json
import subprocess
import sys
from pathlib import Path


def test_info(sinr, coded):
    result = sinr("info", coded)
    assert result.exit_code == 0
    assert "image 16 x 24 x 3 uint8" in result.stdout
    assert "layers.1.weight" in result.stdout
    answer = json.loads(sinr("info", coded, "--json").stdout)
    assert answer["bytes"] == coded.stat().st_size
    assert answer["bytes"] == answer["header_bytes"] + sum(tensor["bytes"] for tensor in answer["tensors"])


def test_info_of_several_files(sinr, coded, photo):
    result = sinr("info", coded, photo, coded)
    assert result.exit_code == 1
    assert result.stdout.count(f"{coded}\n  kind") == 2
    assert result.stderr.startswith(f"sinr: error: {photo}: not a .sinr file")
    answers = json.loads(sinr("info", coded, coded, "--json").stdout)
    assert [answer["path"] for answer in answers] == [str(coded)] * 2


def test_info_of_many_networks_is_a_line_a_tensor(sinr):
    file = Path(__file__).parents[1] / "conformance/blocks.sinr"
    lines = [line for line in sinr("info", file).stdout.splitlines() if "layers." in line]
    answer = json.loads(sinr("info", file, "--json").stdout)
    assert len(lines) == 6
    assert len(answer["tensors"]) == 6 * answer["networks"] == 36
    sizes = [tensor["bytes"] for tensor in answer["tensors"] if tensor["name"].endswith("layers.1.weight")]
    assert f"{sum(sizes)} bytes  a network {min(sizes)} to {max(sizes)} bytes, transform direct" in lines[2]


def test_info_starts_light(coded):
    """No slow library on the way to an answer; timings are too noisy to test."""
    code = "import sys; from sinr_codec.cli.main import app; app(['info', sys.argv[1]], standalone_mode=False); "
    code += "print([m for m in ('torch', 'rich', 'scipy', 'matplotlib', 'threadpoolctl') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code, str(coded)], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
