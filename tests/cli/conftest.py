"""What tests of the verbs share: the command, its failures, and small inputs."""

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sinr_codec.cli.main import app
from sinr_codec.coding.tensor import Raw, encode_tensor
from sinr_codec.container import FIELD, Header, write
from sinr_codec.fields import MLP
from sinr_codec.signals.image import ImageSpec


@pytest.fixture
def sinr():
    """Run the command in this process."""

    def run(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def fails():
    """Check for exit code 1, one line on stderr that holds the words, and nothing on stdout."""

    def check(result, *words):
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        last = result.stderr.splitlines()[-1]
        assert last.startswith("sinr: error: ")
        assert "Traceback" not in result.stderr
        for word in words:
            assert str(word) in last
        return last

    return check


@pytest.fixture
def names():
    """What is in a folder."""
    return lambda folder: sorted(path.name for path in folder.iterdir())


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.linear_gradient("L").resize((24, 16)).save(path)
    return path


@pytest.fixture
def coded(tmp_path):
    """A file of random waves, 16 x 24 RGB, that is not fitted to anything."""
    field, spec = MLP(2, 3, 12, 1), ImageSpec(16, 24, 3, "uint8", "RGB")
    section = b"".join(encode_tensor(a, Raw()) for a in field.init(np.random.default_rng(0)).values())
    path = tmp_path / "waves.sinr"
    path.write_bytes(write(Header(FIELD, field.to_header(), spec.to_header()), [section]))
    return path


@pytest.fixture
def network(tmp_path):
    field = MLP(2, 1, 12, 1)
    path = tmp_path / "siren.npz"
    np.savez(path, **field.init(np.random.default_rng(0)))
    return path
