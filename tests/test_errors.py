"""Messages: one line, of bounded length, whatever is quoted in it."""

import numpy as np
import pytest

from sinr_codec.errors import InputError, explain, listed, printable, quoted

DEEP: list = []
for _ in range(20):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "value",
    [
        *("x" * 10**6, "\x1b[31mred\x1b]0;title\x07", "a\nb\r\x85\u2028c", "\u202eleft\u2066", "\ud800", "\0"),
        *(b"\xff" * 10**6, [1] * 10**6, {"a": ["b" * 1000] * 1000}, DEEP),
        *(10**5000, [10**5000], np.zeros((100, 3)), float("nan"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_quoted_value_is_one_printable_line_of_bounded_length(value):
    text = quoted(value)
    assert 0 < len(text) <= 60
    assert text.isprintable()


def test_a_short_value_is_quoted_as_python_writes_it():
    for value in ("relu", "näher", "", 5, -1.5, True, None, b"ab", [1, 2], (1, "a"), {"a": 1}):
        assert quoted(value) == repr(value)


def test_printable_keeps_letters_and_escapes_the_rest():
    assert printable("Höhe 2 m  \n\t 日本") == "Höhe 2 m 日本"
    assert printable("a\x1b[2Jb\u202ec\ud800") == "a\\x1b[2Jb\\u202ec\\ud800"


def test_explained_errors_are_printable():
    assert explain(InputError("a\x1b[31m\nb")) == "a\\x1b[31m b"
    assert explain(FileNotFoundError(2, "No such file", "a\x07b")) == "a\\x07b: No such file"
    assert "not enough memory" in explain(MemoryError())
    assert explain(ZeroDivisionError()) is None


def test_lists_of_names_are_cut():
    assert listed([]) == "none"
    assert listed(["a", "b", 3]) == "a, b, 3"
    long = listed(f"variable {number}" for number in range(10_000))
    assert long.startswith("variable 0, variable 1, ")
    assert long.endswith(" more")
    assert len(long) < 150
    assert len(listed(["x" * 10**6, "\x1b[31m"])) < 150
    assert listed(["x" * 10**6, "\x1b[31m"]).isprintable()
