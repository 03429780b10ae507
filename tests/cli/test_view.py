"""`sinr view`: pages that hold a file and show it; js/test/viewer opens them in a browser."""

import base64
import re
import webbrowser

import pytest

from sinr_codec import view
from sinr_codec.errors import SinrError


def embedded(page: str) -> dict[str, tuple[str, bytes]]:
    """Names and bytes of the files in a page, by the ids of their elements."""
    found = re.findall(r'<script [^>]*id="(sinr-\w+)" data-name="([^"]*)">([^<]*)</script>', page)
    return {name: (file, base64.b64decode(data)) for name, file, data in found}


def test_the_page_holds_the_file(sinr, names, coded, tmp_path):
    result = sinr("view", coded)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "waves.sinr.html").read_text()
    assert embedded(page) == {"sinr-file": ("waves.sinr", coded.read_bytes())}
    assert page.startswith("<!doctype html>")
    assert names(tmp_path) == ["waves.sinr", "waves.sinr.html"]


def test_standard_input_and_output(coded, monkeypatch):
    with coded.open("rb") as file:
        assert embedded(view.page_of(file)) == {"sinr-file": ("waves.sinr", coded.read_bytes())}
    assert embedded(view.page_of(coded.read_bytes()))["sinr-file"][1] == coded.read_bytes()


def test_names_cannot_leave_their_place(coded, tmp_path):
    odd = coded.rename(tmp_path / 'a"><img src=x>&.sinr')
    page = view.page_of(odd)
    assert "<img" not in page.partition('id="sinr-file"')[2].partition("</script>")[0]


def test_nothing_is_loaded_from_elsewhere():
    page = view.page()
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert page.count(view.PLACE) == 1


def test_open(sinr, coded, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(webbrowser, "open", shown.append)
    assert sinr("view", coded, "-o", tmp_path / "a.html", "--open").exit_code == 0
    assert shown == [(tmp_path / "a.html").as_uri()]
    assert sinr("view", coded, "-o", "-", "--open").exit_code == 1


def test_a_damaged_file(sinr, fails, names, coded, tmp_path):
    coded.write_bytes(coded.read_bytes()[:-5])
    fails(sinr("view", coded), "waves.sinr", "ends after")
    assert names(tmp_path) == ["waves.sinr"]
    with pytest.raises(SinrError):
        view.page_of(coded)
