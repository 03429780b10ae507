"""A room imports only from rooms below it, and nothing heavy comes in by the way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sinr_codec

ROOT = Path(sinr_codec.__file__).parent
FLOORS = [
    ("errors", "progress"),
    ("files",),
    ("coding",),
    ("container",),
    ("fields",),
    ("signals",),
    ("fit",),
    ("checkpoints", "presets"),
    ("codec",),
    ("integrations", "cli"),
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path) -> set[str]:
    """Absolute names of everything of this package that a module imports, anywhere in it."""
    package = ("sinr_codec", *path.relative_to(ROOT).parent.parts)
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "sinr_codec"}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_from_below(path):
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if room == "__init__":
        return
    for name in imports(path):
        other = [*name.split("."), ""][1]
        if other in FLOOR and other != room:
            assert FLOOR[other] < FLOOR[room] or (FLOOR[other] == FLOOR[room] and room == "cli"), name


def test_every_room_has_its_floor():
    rooms = {p.name.removesuffix(".py") for p in ROOT.iterdir() if not p.name.startswith("__") and p.name != "py.typed"}
    assert rooms == set(FLOOR)


@pytest.mark.parametrize("verb", ["import sinr_codec", "from sinr_codec import decode", "import sinr_codec.cli.main"])
def test_decoding_needs_no_torch(verb):
    code = f"{verb}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
