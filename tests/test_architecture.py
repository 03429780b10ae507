"""A package imports only from the layers below its own, and nothing heavy comes in by the way."""

import ast
import re
import subprocess
import sys
from fnmatch import fnmatch
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sinr_codec
from sinr_codec import fields

ROOT = Path(sinr_codec.__file__).parent
LAYERS = [
    ("errors", "progress", "tiles", "types"),
    ("reports", "streams"),
    ("devices", "files"),
    ("coding",),
    ("container",),
    ("fields",),
    ("signals",),
    ("planning",),
    ("fit",),
    ("kinds", "presets"),
    ("arguments", "evaluators", "quality", "sections"),
    ("bases", "view"),
    ("foreign", "methods"),
    ("decoding",),
    ("inspecting", "learning", "networks"),
    ("encoding",),
    ("codec",),
    ("batch", "bench", "testing"),
    ("integrations", "cli"),
]
LAYER = {package: number for number, packages in enumerate(LAYERS) for package in packages}


class AtRunTime(ast.NodeTransformer):
    """Leaves out what only a type checker sees."""

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        checking = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return node.orelse if checking else self.generic_visit(node)


def imports(path: Path, *, at_run_time: bool = False) -> set[str]:
    """Absolute names of everything of this package that a module imports, anywhere in it."""
    package = ("sinr_codec", *path.relative_to(ROOT).parent.parts)
    tree = ast.parse(path.read_text())
    names = set()
    for node in ast.walk(AtRunTime().visit(tree) if at_run_time else tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "sinr_codec"}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_from_below(path):
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    if package in ("__init__", "__main__"):
        return
    for name in imports(path):
        other = [*name.split("."), ""][1]
        if other in LAYER and other != package:
            assert LAYER[other] < LAYER[package] or (LAYER[other] == LAYER[package] and package == "cli"), name


def test_no_modules_import_each_other_in_a_circle():
    paths = {
        ".".join(("sinr_codec", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in ROOT.rglob("*.py")
    }

    def imported(name: str) -> str:
        return name if name in paths else name.rpartition(".")[0]

    graph = {module: {imported(n) for n in imports(path, at_run_time=True)} for module, path in paths.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_every_package_has_its_layer():
    packages = {
        p.name.removesuffix(".py") for p in ROOT.iterdir() if not p.name.startswith("__") and p.name != "py.typed"
    }
    assert packages == set(LAYER)


def test_coding_needs_numpy_brotli_and_ml_dtypes_alone():
    names = [f"sinr_codec.coding.{path.stem}" for path in (ROOT / "coding").glob("*.py") if path.stem != "__init__"]
    code = f"import sys; before = set(sys.modules); import {', '.join(names)}; print(*set(sys.modules) - before)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    packages = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert packages == {"sinr_codec", "numpy", "brotli", "_brotli", "ml_dtypes"}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_constants_are_final(path):
    """So that the type checker refuses a second value by the same name."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and not ast.unparse(node.value).startswith("TypeVar("):
            names = {each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)}
            assert not [name for name in names if name.lstrip("_").isupper()]
        elif isinstance(node, ast.AnnAssign) and ast.unparse(node.target).lstrip("_").isupper():
            assert "Final" in ast.unparse(node.annotation), node.target


@pytest.mark.parametrize("verb", ["import sinr_codec", "from sinr_codec import decode", "import sinr_codec.cli.main"])
def test_decoding_needs_no_torch(verb):
    code = f"{verb}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


RECEIVER = """
import sys
from sinr_codec import decode
from sinr_codec.bases import read_base
from sinr_codec.container import BASE, FIELD, load_header

headers = {path: load_header(path) for path in sys.argv[1:]}
bases = {base.digest: base for base in (read_base(path) for path, each in headers.items() if each.kind == BASE)}
signals = [path for path, each in headers.items() if each.kind == FIELD]
assert len(signals) > 25
datasets = [path for path in signals if "dataset" in path]
assert datasets
for path in [path for path in signals if path not in datasets] + datasets:
    if path == datasets[0]:  # xarray imports scipy by itself, where that is installed
        print(*sorted({name.split(".")[0] for name in sys.modules} & {"torch", "scipy", "typer", "rich"}))
    decode(path, base=bases.get(headers[path].base))
print(*sorted({".".join(name.split(".")[:2]) for name in sys.modules if name.startswith("sinr_codec.")}))
print("torch" in sys.modules)
"""


def test_a_receiver_needs_the_receivers_wing_alone():
    """No plans, methods, fits or foreign networks are loaded to decode any file; this is what a port consists of."""
    paths = (Path(__file__).parent / "conformance").rglob("*.sinr")
    files = sorted(str(path) for path in paths if path.parent.name != "malformed")
    run = subprocess.run([sys.executable, "-c", RECEIVER, *files], check=True, capture_output=True, text=True)
    heavy, ours, torch = run.stdout.splitlines()
    assert {name.removeprefix("sinr_codec.") for name in ours.split()} == {
        *("errors", "types", "tiles", "devices", "files", "streams", "coding", "container", "fields", "signals"),
        *("evaluators", "sections", "bases", "decoding"),
    }
    assert (heavy, torch) == ("", "False")


FAMILIES = {name for name in fields.__all__ if hasattr(getattr(fields, name), "shapes")}


def classes_asked_for(path: Path) -> set[str]:
    """Names of the classes in the calls of isinstance and issubclass of a module."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    asking = [
        call for call in calls if isinstance(call.func, ast.Name) and call.func.id in ("isinstance", "issubclass")
    ]
    named = [node for call in asking for node in ast.walk(call.args[1])]
    return {getattr(node, "id", getattr(node, "attr", "")) for node in named}


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_families_are_no_business_of_others(path):
    """What differs between families is in `fields`: in its table, and in what a field answers for itself."""
    if path.relative_to(ROOT).parts[0] != "fields":
        assert not classes_asked_for(path) & FAMILIES


PAGE = (Path(__file__).parents[1] / "docs/architecture.md").read_text()
ROOMS = dict(re.findall(r"Inside `(\w+)/`(.*?)(?=\nInside |\n## )", PAGE, re.DOTALL))


@pytest.mark.parametrize("room", ROOMS)
def test_the_architecture_page_names_all_modules(room):
    modules = {path.stem for path in (ROOT / room).glob("*.py") if not path.stem.startswith("_")}
    named = set(re.findall(r"`([\w*]+)`", ROOMS[room]))
    assert not [module for module in modules if not any(fnmatch(module, name) for name in named)]
    assert not [name for name in named if name.islower() and "*" not in name and name not in modules]
