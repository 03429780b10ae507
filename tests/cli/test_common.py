"""What the verbs share: values of options, progress and printing."""

import json

import numpy as np
import pytest
import typer

from sinr_codec.cli import _common


def test_activations():
    assert _common.parse_activation("sine:20").omega0 == 20
    assert _common.parse_activation("WIRE:20,30").scale == 30
    assert type(_common.parse_activation("relu")).__name__ == "ReLU"


def test_json_says_null_where_there_is_no_number(capsys):
    _common.show_json({"a": float("inf"), "b": [float("nan"), 1, True, None], "c": (np.float64(2.5),)})
    assert json.loads(capsys.readouterr().out) == {"a": None, "b": [None, 1, True, None], "c": [2.5]}


@pytest.mark.parametrize("text", ["tanh", "sine:fast", "sine:-3", ""])
def test_an_activation_that_is_none_is_wrong_usage(text):
    with pytest.raises(typer.BadParameter):
        _common.parse_activation(text)


def test_options_that_exclude_each_other_are_named_as_they_are_written():
    _common.exclusive(bpp=None, max_drop=0.1)
    with pytest.raises(typer.BadParameter, match="expected only one of --bpp and --max-drop"):
        _common.exclusive(bpp=1.0, size=None, max_drop=0.1)


def test_a_table_lines_its_names_up_and_notes_come_last(capsys):
    _common.show("a.sinr", [("size", "9 bytes"), ("quality", "30 dB")], ["it was short"])
    assert capsys.readouterr().out == "a.sinr\n  size      9 bytes\n  quality   30 dB\n  note: it was short\n"


def test_no_progress_is_shown_where_nobody_wants_it(capsys):
    for quiet, shown in ((True, ""), (False, "fit ...\n")):
        with _common.progress(quiet) as progress:
            progress.start("fit", 2)
            progress.update(1)
        assert capsys.readouterr().err == shown
