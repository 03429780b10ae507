"""Descriptions of networks: files and tables that users write, and drafts of them."""

import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from sinr_codec.arguments import check_activation
from sinr_codec.errors import InputError, quoted
from sinr_codec.fields.activations import AnyActivation, activation_text
from sinr_codec.foreign.chain import layers_under
from sinr_codec.foreign.checkpoints import read_checkpoint
from sinr_codec.foreign.recognise import recognise
from sinr_codec.foreign.tables import Table
from sinr_codec.types import PathLike

Description = PathLike | Table | Sequence[Table]


def tables_of(description: Description) -> tuple[str, list[object]]:
    """A name for messages, and the tables of the networks."""
    if isinstance(description, str | os.PathLike):
        name, tree = os.fspath(description), _read_description(Path(description))
    else:
        name, tree = "describe", description
    if isinstance(tree, Mapping):
        if unknown := sorted(map(str, set(tree) - {"network"})):
            raise InputError(f"{name}: unknown entry {quoted(unknown[0])}; expected network")
        tree = tree.get("network")
    if isinstance(tree, Mapping):
        tree = [tree]
    if not isinstance(tree, list | tuple) or not tree:
        raise InputError(f"{name}: expected a table [[network]] for each network")
    return name, list(tree)


def _read_description(path: Path) -> object:
    if path.suffix.lower() not in (".toml", ".json"):
        raise InputError(f"{path}: expected a description in a .toml or .json file")
    try:
        text = path.read_text(encoding="utf-8")
        return tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{path}: not readable as {path.suffix[1:].upper()} ({' '.join(str(error).split())})"
        ) from error


def description_of(model: object, activation: AnyActivation | None = None) -> str:
    """The networks that are recognised in a model, as a description in TOML to start from.

    What matrices are left is listed in comments.

    Raises
    ------
    InputError : as `compress_report`
    """
    check_activation(activation)
    checkpoint = read_checkpoint(model)
    networks = [one.network for one in recognise(checkpoint.state, activation)]
    lines = []
    for network in networks:
        lines += [f"# {network.describe()}", f"# compared: {network.compared}", "[[network]]"]
        lines += [f"{key} = {_toml(value)}" for key, value in network.to_table().items()] + [""]
    taken = {name for network in networks for name in network.names}
    left = layers_under({name: w for name, w in checkpoint.state.items() if name not in taken})
    if left:
        lines += ["# Matrices of no known network. Name the layers of each network in order, and what is between them:"]
        lines += ["# [[network]]", "# layers = ["]
        lines += [
            f"#   {_toml(layer.weight.removesuffix('.weight'))},  # {layer.fan_in} -> {layer.fan_out}" for layer in left
        ]
        example = activation_text(activation) if activation is not None else "relu"
        lines += ["# ]", f"# activation = {_toml(example)}"]
    return "\n".join(lines).rstrip() + "\n"


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
