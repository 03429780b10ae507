"""Checkpoint files: nested state back as it was, to the order of axes in memory."""

import logging

import pytest

torch = pytest.importorskip("torch")

from sinr_codec.errors import InputError  # noqa: E402
from sinr_codec.fit import checkpoint  # noqa: E402


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and a.stride() == b.stride() and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    return type(a) is type(b) and a == b


STATE = {
    "step": 7,
    "loss": 0.25,
    "none": None,
    "flag": True,
    "betas": (0.9, 0.95),
    "curve": [{"step": 1, "text": "a"}, {}],
    # optimisers number their parameters
    "optimizer": {0: {"moment": torch.arange(6.0).view(2, 3)}, 1: {"moment": torch.zeros(0)}},
    "transposed": torch.arange(24.0).view(2, 3, 4).permute(2, 0, 1),
    "generator": torch.Generator().manual_seed(3).get_state(),
}


def test_state_comes_back_as_it_was(tmp_path):
    path = tmp_path / "fit.safetensors"
    checkpoint.save(path, STATE, "mine")
    assert same(checkpoint.load(path, "mine"), STATE)


def test_leaves_come_back_without_gradients(tmp_path):
    path = tmp_path / "fit.safetensors"
    checkpoint.save(path, {"leaf": torch.ones(2, requires_grad=True)}, "")
    assert not checkpoint.load(path, "")["leaf"].requires_grad


def test_no_file_is_no_state(tmp_path):
    assert checkpoint.load(tmp_path / "none.safetensors", "mine") is None


def test_that_of_another_fit_is_refused(tmp_path):
    path = tmp_path / "fit.safetensors"
    checkpoint.save(path, STATE, "mine")
    with pytest.raises(InputError, match="another fit"):
        checkpoint.load(path, "yours")


def test_other_safetensors_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    checkpoint.save_file({"weight": torch.ones(2)}, path)
    with pytest.raises(InputError, match=r"weights\.safetensors: expected a checkpoint of a fit$"):
        checkpoint.load(path, "mine")


@pytest.mark.parametrize("cut", [0, 8, 100, -1])
def test_damaged_files_are_refused(tmp_path, cut):
    path = tmp_path / "fit.safetensors"
    checkpoint.save(path, STATE, "mine")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(path, "mine")


def test_a_failed_save_leaves_the_older_file(tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left")

    path = tmp_path / "fit.safetensors"
    checkpoint.save(path, STATE, "mine")
    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(InputError, match="No space left"):
        checkpoint.save(path, STATE | {"step": 8}, "mine")
    with caplog.at_level(logging.WARNING):
        checkpoint.try_to_save(path, STATE | {"step": 8}, "mine")
    assert len(caplog.messages) == 1
    assert checkpoint.load(path, "mine")["step"] == 7


def test_discarding_removes_the_file_and_keeps_a_link(tmp_path):
    path, link = tmp_path / "fit.safetensors", tmp_path / "link"
    checkpoint.save(path, STATE, "mine")
    link.symlink_to(path)
    checkpoint.discard(link)
    assert not path.exists()
    assert link.is_symlink()
    checkpoint.discard(path)
    checkpoint.discard(None)
