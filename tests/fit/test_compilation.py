"""When compilation pays, and what happens where it fails."""

import logging

import pytest

torch = pytest.importorskip("torch")

from sinr_codec.fit import compilation  # noqa: E402


def pays(**budget):
    return compilation.pays("k", **{"seconds": None, "work": None, "device": "cpu"} | budget)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A machine with a compiler, without other work, and its cache, which is empty."""
    monkeypatch.setattr(compilation, "crowd", lambda: 1.0)
    monkeypatch.setattr(compilation, "has_compiler", lambda: True)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("cache")
def test_only_long_budgets_pay():
    assert pays(seconds=600.0)
    assert not pays(seconds=20.0)
    assert pays(work=1000 * compilation.MODEST_CPU)
    assert not pays(work=compilation.MODEST_CPU)
    assert not pays(seconds=600.0, work=compilation.MODEST_CPU)


@pytest.mark.usefixtures("cache")
def test_shorter_ones_in_seconds_pay_where_it_is_cached():
    compilation.marker("k").touch()
    assert pays(seconds=20.0)
    assert not pays(seconds=3.0)
    assert not pays(work=20 * compilation.MODEST_CPU)  # steps give the same bits, cached or not


@pytest.mark.usefixtures("cache")
def test_seconds_are_worth_less_on_a_busy_machine(monkeypatch):
    assert pays(seconds=100.0)
    monkeypatch.setattr(compilation, "crowd", lambda: 4.0)
    assert not pays(seconds=100.0)
    assert pays(seconds=600.0)
    assert pays(work=100 * compilation.MODEST_CPU)  # steps give the same bits, busy or not


def test_processes_that_share_a_core_are_counted(monkeypatch):
    assert compilation.crowd() >= 1
    monkeypatch.setattr(compilation.os, "getloadavg", lambda: (12.0, 0.0, 0.0), raising=False)
    monkeypatch.setattr(compilation.os, "cpu_count", lambda: 4)
    assert compilation.crowd() == 3
    monkeypatch.delattr(compilation.os, "getloadavg")
    assert compilation.crowd() == 1


def test_nothing_pays_on_a_cpu_without_a_compiler(monkeypatch, cache):
    monkeypatch.setattr(compilation, "has_compiler", lambda: False)
    assert not pays(seconds=600.0)
    assert pays(seconds=600.0, device="cuda")


def test_compilers_are_looked_for_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert not compilation.has_compiler()
    (tmp_path / "clang++").touch(mode=0o755)
    assert compilation.has_compiler()


def test_markers_differ_by_key(cache):
    assert compilation.marker("a").parent == cache
    assert compilation.marker("a") == compilation.marker("a") != compilation.marker("b")


def loss(x):
    return x.square().sum(), x


def test_what_is_compiled_is_tried_and_marked(monkeypatch, cache):
    monkeypatch.setattr(torch, "compile", lambda function, **options: function)
    x = torch.ones(3, requires_grad=True)
    fast = compilation.compiled(loss, "k", x)
    assert torch.equal(x.grad, torch.full((3,), 2.0))
    assert float(fast(x.detach())[0]) == 3
    assert compilation.marker("k").exists()


def test_a_failure_is_logged_and_gives_nothing(monkeypatch, cache, caplog):
    def broken(*args, **options):
        raise RuntimeError("no compiler\nand more")

    monkeypatch.setattr(torch, "compile", broken)
    with caplog.at_level(logging.INFO):
        assert compilation.compiled(loss, "k", torch.ones(3, requires_grad=True)) is None
    assert caplog.messages == ["torch.compile failed, going on without it: no compiler"]
    assert not compilation.marker("k").exists()
