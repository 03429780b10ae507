"""Foreign networks in and out, and nothing executed on the way."""

import builtins
import contextlib
import io
import json
import os
import pickle
import re
import subprocess
import sys
import zipfile

import ml_dtypes
import numpy as np
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.container import MAGIC
from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.foreign.checkpoints import read_checkpoint, write_checkpoint

STATE = {
    "z.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a.bias": np.array([1.5, -2], np.float16),
    "steps": np.array(7),
    "mask": np.array([[True], [False]]),
    "file": np.zeros((0, 4), np.uint8),
    "unsigned": np.array([1, 2], np.uint16),
    "wave": np.array([1 + 2j], np.complex64),
    "wide": np.array([1e300]),
}
BF16 = {"b": np.array([1, 0.5, -3], ml_dtypes.bfloat16)}


def assert_same(state, expected):
    assert sorted(state) == sorted(expected)
    for name, array in expected.items():
        assert (state[name].shape, state[name].dtype) == (array.shape, array.dtype)
        assert state[name].tobytes() == array.tobytes()


class TestRoundTrip:
    @pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt", ".pth", ".ckpt", ".bin"])
    def test_file(self, tmp_path, suffix):
        path = tmp_path / f"net{suffix}"
        write_checkpoint(STATE, path)
        checkpoint = read_checkpoint(path)
        assert_same(checkpoint.state, STATE)
        assert checkpoint.skipped == ()
        assert [p.name for p in tmp_path.iterdir()] == [path.name]
        if suffix != ".safetensors":  # that format sorts by dtype and name
            assert list(checkpoint.state) == list(STATE)

    @pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
    def test_bfloat16(self, tmp_path, suffix):
        write_checkpoint(BF16, tmp_path / f"net{suffix}")
        assert_same(read_checkpoint(str(tmp_path / f"net{suffix}")).state, BF16)

    def test_safetensors_order_is_that_of_its_header(self, tmp_path):
        header = {"z": {"dtype": "U8", "shape": [1], "data_offsets": [1, 2]}}
        header["a"] = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}
        text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
        (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\1\2")
        assert list(read_checkpoint(tmp_path / "x.safetensors").state) == ["z", "a"]

    def test_memory_order_does_not_matter(self, tmp_path):
        state = {"t": STATE["z.weight"].T, "big": np.array([1.0], ">f4")}
        for suffix in (".safetensors", ".pt", ".npz"):
            write_checkpoint(read_checkpoint(state).state, tmp_path / f"x{suffix}")
            back = read_checkpoint(tmp_path / f"x{suffix}").state
            assert np.array_equal(back["t"], state["t"])
            assert back["big"].dtype == np.dtype("=f4")
            assert back["big"][0] == 1

    @pytest.mark.parametrize(
        ("state", "name"),
        [(BF16, "x.npz"), ({"c": np.zeros(1, complex)}, "x.safetensors"), (STATE, "x.onnx")],
    )
    def test_what_a_file_type_cannot_hold(self, tmp_path, state, name):
        with pytest.raises(InputError, match=r"x\."):
            write_checkpoint(state, tmp_path / name)
        assert list(tmp_path.iterdir()) == []


class TestTree:
    def test_nested_dicts_are_joined_with_dots(self):
        x = np.zeros(1)
        checkpoint = read_checkpoint({"model": {"layer": {"weight": x}}, "list": [{"w": x}, x], 3: x})
        assert list(checkpoint.state) == ["model.layer.weight", "list.0.w", "list.1", "3"]

    def test_what_is_no_tensor_is_noted(self):
        tree = {
            "w": np.zeros(1),
            "iter": 5,
            "sizes": [1, 2],
            "none": None,
            "text": np.array(["a"]),
            "log": "a\n" * 10_000,
            "losses": [0.5] * 10_000,
            "huge": 2**5000,
            "net": object(),
        }
        checkpoint = read_checkpoint(tree)
        assert list(checkpoint.state) == ["w"]
        assert checkpoint.values == {"iter": 5, "sizes": [1, 2], "none": None}
        assert [line.split(":")[0] for line in checkpoint.skipped] == ["text", "log", "losses", "huge", "net"]
        assert checkpoint.skipped[3].startswith("huge: int 1412467")
        assert not any("\n" in line for line in checkpoint.skipped)

    def test_values_have_bounds(self):
        tree = {f"epoch{i}": {"note": "x" * 4000} for i in range(100)}
        checkpoint = read_checkpoint({"w": np.zeros(1), **tree})
        assert 50 < len(checkpoint.values) < 70
        assert len(checkpoint.values) + len(checkpoint.skipped) == 100

    @pytest.mark.parametrize(
        "tree",
        [
            {"optimizer_state_dict": {"state": {0: {"exp_avg": np.zeros(1)}}}},
            {"optimizer_states": [{"state": {0: {"exp_avg": np.zeros(1)}}, "param_groups": []}]},
            {"opt": {"state": {0: {"square": np.zeros(1)}}, "param_groups": [{"lr": 1}]}},
            {"optimizer.state.0.square": np.zeros(1)},
            {"a.state.0.exp_avg": np.zeros(1)},
            {"opt_state": {"mu": {"w": np.zeros(1)}}},
        ],
    )
    def test_optimiser_state_is_left_out(self, tree):
        checkpoint = read_checkpoint({"w": np.zeros(1), **tree})
        assert list(checkpoint.state) == ["w"]
        assert len(checkpoint.skipped) == 1
        assert "optimiser state" in checkpoint.skipped[0]

    def test_optimiser_state_is_kept_where_asked(self):
        moments = {7: {"step": 3, "exp_avg": np.ones(2)}, 9: {"step": 3, "exp_avg": np.ones(3)}}
        groups = [{"lr": 0.1, "betas": (0.9, 0.999), "params": [7, 9]}]
        tree = {
            "w": np.zeros(1),
            "optimizer": {"state": moments, "param_groups": groups},
            "state.0.momentum_buffer": np.ones(4),
        }
        checkpoint = read_checkpoint(tree, keep_optimiser=True)
        assert checkpoint.optimiser == {
            "optimizer.state.7.exp_avg",
            "optimizer.state.9.exp_avg",
            "state.0.momentum_buffer",
        }
        assert set(checkpoint.state) == checkpoint.optimiser | {"w"}
        assert checkpoint.skipped == ()
        assert checkpoint.values["optimizer.param_groups.0.betas"] == (0.9, 0.999)
        assert read_checkpoint({"w": np.zeros(1)}, keep_optimiser=True).optimiser == frozenset()

    def test_zero_dimensional_tensors_stay(self):
        state = read_checkpoint({"loss": np.array(0.5), "scalar": np.float32(2)}).state
        assert_same(state, {"loss": np.array(0.5), "scalar": np.array(2, np.float32)})

    @pytest.mark.parametrize(
        ("tree", "message"),
        [
            ({}, "holds no tensors"),
            ({"iter": 3}, "holds no tensors"),
            ({"a.b": np.zeros(1), "a": {"b": np.zeros(1)}}, "'a.b'"),
            ({"x": np.zeros(1, ml_dtypes.float8_e4m3fn)}, "x: a tensor of float8_e4m3fn"),
            ({"x": np.zeros(1, "V3")}, "x: a tensor of void"),
            ({"x": np.broadcast_to(np.float32(1), (10**6, 10**6))}, "more than 268,435,456 weights"),
            (5, "a int"),
            ([np.zeros(1)], "a list"),
        ],
    )
    def test_unusable_input_is_one_line(self, tree, message):
        with pytest.raises(InputError) as caught:
            read_checkpoint(tree)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


class TestTorch:
    torch = pytest.importorskip("torch")

    def test_module(self):
        net = self.torch.nn.Sequential(self.torch.nn.Linear(2, 3), self.torch.nn.ReLU())
        state = read_checkpoint(net).state
        assert list(state) == ["0.weight", "0.bias"]
        assert np.array_equal(state["0.weight"], net[0].weight.detach().numpy())

    def test_odd_tensors(self):
        torch = self.torch
        x = torch.arange(6.0).reshape(2, 3)
        state = {
            "t": x.T,
            "part": x[:, 1:],
            "wide": x[:1].expand(4, 3),
            "conj": (x + 1j).conj(),
            "half": x.half(),
        }
        for name, array in read_checkpoint(state).state.items():
            assert array.flags.c_contiguous
            assert np.array_equal(array, state[name].resolve_conj().numpy())

    def test_refused_tensors_are_named(self):
        torch = self.torch
        for tensor in (
            torch.zeros(2, dtype=torch.float8_e5m2),
            torch.zeros(2, 2).to_sparse(),
            torch.zeros(2, device="meta"),
        ):
            with pytest.raises(InputError, match="no tensors that can be kept"):
                read_checkpoint({"odd": tensor})
            checkpoint = read_checkpoint({"odd": tensor, "w": torch.zeros(1)})
            assert list(checkpoint.state) == ["w"]
            assert [line.split(":")[0] for line in checkpoint.skipped] == ["odd"]

    def test_siren_of_others(self, data_file):
        checkpoint = read_checkpoint(data_file("checkpoints/staf_siren_cameraman_test2_epoch2350.pth"))
        assert list(checkpoint.state)[:2] == ["net.net.0.0.weight", "net.net.0.0.bias"]
        assert sum(array.size for array in checkpoint.state.values()) == 198_401
        assert checkpoint.skipped == ()

    def test_nerf_of_others(self, data_file):
        checkpoint = read_checkpoint(data_file("checkpoints/krrish94_lego_lowres.ckpt"))
        assert len(checkpoint.state) == 33
        assert "model_coarse_state_dict.layers_xyz.0.weight" in checkpoint.state
        assert checkpoint.state["loss"].shape == ()
        assert [line.split(":")[0] for line in checkpoint.skipped] == ["optimizer_state_dict"]
        assert set(checkpoint.values) == {"iter", "psnr"}
        assert set(checkpoint.containers) == {"model_coarse_state_dict", "model_fine_state_dict"}

    @pytest.mark.parametrize(
        "tree",
        [
            {"w": 1},
            {"model": {"a.weight": 1, "a.bias": 1}, "other": {"x": 1}},
            {"models": [{"w": 1}, {"w": 1}], "deep": {"er": {"still": 1}}},
            {3: 1, 5: {7: 1}},
            {"list": [1, [1, 1], {"a": [1]}]},
            {"a.b": {"c": 1}, "a": 1},
            {"": 1, ".": {".": 1}},
        ],
    )
    def test_a_torch_file_gets_its_nesting_back(self, tmp_path, tree):
        count = iter(range(100))

        def grow(node):
            if isinstance(node, dict):
                return {key: grow(child) for key, child in node.items()}
            if isinstance(node, list):
                return [grow(child) for child in node]
            return self.torch.full((2,), float(next(count)))

        tree = grow(tree) | {"epoch": 3, "settings": {"lr": 0.5, "name": "x", "sizes": [1, 2]}}
        if 3 in tree:
            del tree["epoch"], tree["settings"]
        self.torch.save(tree, tmp_path / "a.pt")
        checkpoint = read_checkpoint(tmp_path / "a.pt")
        write_checkpoint(checkpoint.state, tmp_path / "b.pt", checkpoint.containers, checkpoint.values)
        assert repr(self.torch.load(tmp_path / "b.pt", weights_only=True)) == repr(tree)

    def test_nesting_that_cannot_be_told_is_left_out(self, tmp_path):
        w = self.torch.zeros(1)
        checkpoint = read_checkpoint({"a": {"b": w}, "a.c": w})
        assert checkpoint.containers == {}
        assert "nesting" in checkpoint.skipped[-1]
        checkpoint = read_checkpoint({"a": [w, "text", {"b": w}]})
        assert checkpoint.containers == {"a": 2, "a.2": 0}
        checkpoint = read_checkpoint({"a": [w, object(), {"b": w}]})
        assert checkpoint.containers == {"a": 1, "a.2": 0}

    @pytest.mark.parametrize(
        "containers",
        [{"a": 1}, {"a": 2}, {"": 1}, {"a.b": 0, "a": 2}, {"x": 0}, {"a": "2"}, {"a": None}, {"a": 99}],
    )
    def test_nonsense_containers_change_no_tensor(self, tmp_path, containers):
        state = {"a.b": np.ones(1), "a.0.c": np.zeros(2), "a": np.ones(3)}
        write_checkpoint(state, tmp_path / "b.pt", containers, {"a.b": 3, "a.b.c": 4})
        checkpoint = read_checkpoint(tmp_path / "b.pt")
        assert len(checkpoint.state) + len(checkpoint.values) >= 3

    def test_without_torch_the_extra_is_named(self, tmp_path, monkeypatch):
        write_checkpoint(STATE, tmp_path / "x.pt")
        real_import = builtins.__import__

        def without_torch(name, *args, **kwargs):
            if name.split(".")[0] == "torch":
                raise ImportError("No module named 'torch'")
            return real_import(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", without_torch)
        assert_same(read_checkpoint(tmp_path / "x.pt").state, STATE)
        with pytest.raises(MissingExtraError, match=r"sinr-codec\[fit\]"):
            write_checkpoint(STATE, tmp_path / "y.pt")
        assert not (tmp_path / "y.pt").exists()


class Bomb:
    """Unpickling this creates a file."""

    def __init__(self, proof):
        self.proof = str(proof)

    def __reduce__(self):
        return os.system, (f"touch {self.proof}",)


class TestHostile:
    torch = pytest.importorskip("torch")

    def bombs(self, folder):
        proof = folder / "executed"
        self.torch.save({"w": self.torch.zeros(1), "x": Bomb(proof)}, folder / "zip.pt")
        self.torch.save({"x": Bomb(proof)}, folder / "old.pth", _use_new_zipfile_serialization=False)
        (folder / "plain.ckpt").write_bytes(pickle.dumps({"x": Bomb(proof)}))
        np.savez(folder / "array.npz", x=np.array([Bomb(proof)], dtype=object))
        (folder / "pickle.npz").write_bytes(pickle.dumps(Bomb(proof)))
        (folder / "pickle.safetensors").write_bytes(pickle.dumps(Bomb(proof)))
        return proof

    def test_nothing_is_executed(self, tmp_path):
        proof = self.bombs(tmp_path)
        paths = sorted(tmp_path.iterdir())
        assert len(paths) == 6
        for path in paths:
            if path.name == "zip.pt":
                checkpoint = read_checkpoint(path)
                assert list(checkpoint.state) == ["w"]
                assert checkpoint.skipped == (f"x: a Python object ({os.name}.system), not a tensor",)
                continue
            with pytest.raises(InputError) as caught:
                read_checkpoint(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 300 + len(str(path))
        assert not proof.exists()

    def test_the_bomb_is_live(self, tmp_path):
        proof = self.bombs(tmp_path)
        code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
        subprocess.run([sys.executable, "-c", code, str(tmp_path / "plain.ckpt")], check=True)
        assert proof.exists()

    def test_objects_are_named(self, tmp_path):
        self.torch.save({"x": Bomb(tmp_path / "p")}, tmp_path / "x.pt")
        with pytest.raises(InputError, match=r"a Python object \((posix|nt)\.system\)"):
            read_checkpoint(tmp_path / "x.pt")

    @pytest.mark.parametrize("value", [[1, 2], 5, None])
    def test_a_torch_file_of_something_else(self, tmp_path, value):
        self.torch.save(value, tmp_path / "x.pt")
        with pytest.raises(InputError, match="expected a dict of tensors"):
            read_checkpoint(tmp_path / "x.pt")

    def test_a_single_tensor(self, tmp_path):
        self.torch.save(self.torch.zeros(3), tmp_path / "x.pt")
        with pytest.raises(InputError, match="single tensor"):
            read_checkpoint(tmp_path / "x.pt")

    @pytest.mark.parametrize("name", ["none.pt", "x.txt", "x"])
    def test_missing_or_unknown(self, tmp_path, name):
        with pytest.raises(InputError, match=name):
            read_checkpoint(tmp_path / name)

    def test_odd_safetensors_dtype_is_named(self, tmp_path):
        text = json.dumps({"x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}).encode()
        (tmp_path / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"\0")
        with pytest.raises(InputError, match="x: a tensor of F8_E4M3"):
            read_checkpoint(tmp_path / "x.safetensors")

    def test_an_npz_that_unpacks_to_too_much(self, tmp_path):
        blob = io.BytesIO()
        with zipfile.ZipFile(blob, "w") as archive:
            archive.writestr("x.npy", b"")
        # The central directory's record of the unpacked size, 24 bytes after its signature.
        data = bytearray(blob.getvalue())
        at = data.index(b"PK\1\2") + 24
        data[at : at + 4] = (0xF0000000).to_bytes(4, "little")
        (tmp_path / "x.npz").write_bytes(data)
        with pytest.raises(InputError, match="unpacks to"):
            read_checkpoint(tmp_path / "x.npz")

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_damaged_files(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("damaged")
        suffix = data.draw(st.sampled_from([".safetensors", ".npz", ".pt"]))
        path = folder / f"x{suffix}"
        write_checkpoint({"w": np.ones((3, 2), np.float32), "b": np.ones(3, np.float32)}, path)
        blob = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(blob) - 1))
            blob[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        path.write_bytes(blob)
        with contextlib.suppress(InputError):
            read_checkpoint(path)


class TestOutputs:
    def test_files_have_the_rights_that_the_user_wants(self, tmp_path):
        old = os.umask(0o027)
        try:
            for suffix in (".safetensors", ".npz", ".pt"):
                if suffix == ".pt":
                    pytest.importorskip("torch")
                write_checkpoint(STATE, tmp_path / f"a{suffix}")
                assert (tmp_path / f"a{suffix}").stat().st_mode & 0o777 == 0o640
        finally:
            os.umask(old)

    @pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt"])
    def test_a_full_disk_is_one_line(self, tmp_path, suffix, small_files):
        if suffix == ".pt":
            pytest.importorskip("torch")
        code = """
import sys
import numpy as np
from sinr_codec.errors import InputError
from sinr_codec.foreign.checkpoints import write_checkpoint

try:
    write_checkpoint({"w": np.random.default_rng(0).normal(size=100_000)}, sys.argv[1])
except InputError as error:
    print(error)
"""
        said = small_files(code, tmp_path / f"a{suffix}")
        assert re.fullmatch(rf".*a{suffix}: cannot be written .*\n", said)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("name", ["../../x", "/x", "a\\..\\b", "C:x", "a\0b"])
    def test_members_of_archives_lead_nowhere_else(self, tmp_path, name):
        with pytest.raises(InputError, match="leads elsewhere"):
            write_checkpoint({name: np.ones(2)}, tmp_path / "x.npz")
        assert list(tmp_path.iterdir()) == []

    def test_metadata_of_safetensors(self, tmp_path):
        about = {"format": "pt", "author": "somebody\nelse"}
        write_checkpoint(STATE, tmp_path / "a.safetensors", metadata=about)
        with safetensors.safe_open(tmp_path / "a.safetensors", "np") as file:
            assert file.metadata() == about
        assert read_checkpoint(tmp_path / "a.safetensors").metadata == about
        write_checkpoint(STATE, tmp_path / "b.safetensors")
        with safetensors.safe_open(tmp_path / "b.safetensors", "np") as file:
            assert not file.metadata()


class TestShards:
    def shards(self, folder, suffix=".safetensors"):
        where = {}
        for number, names in enumerate([("z.weight", "steps"), ("a.bias", "mask")]):
            name = f"model-0000{number + 1}-of-00002{suffix}"
            write_checkpoint({key: STATE[key] for key in names}, folder / name)
            where |= dict.fromkeys(names, name)
        path = folder / f"model{suffix}.index.json"
        path.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": where}))
        return path, where

    def test_all_files_of_an_index(self, tmp_path):
        path, where = self.shards(tmp_path)
        checkpoint = read_checkpoint(path)
        assert list(checkpoint.state) == list(where)
        assert_same(checkpoint.state, {name: STATE[name] for name in where})
        assert checkpoint.skipped == ("the distribution over 2 files: all tensors are in one",)

    def test_what_an_index_cannot_name(self, tmp_path):
        path, where = self.shards(tmp_path)
        for text, message in [
            ("{}", "weight_map"),
            ("[1]", "weight_map"),
            ('{"weight_map": {"w": 3}}', "weight_map"),
            ('{"weight_map": {"w": "../x.safetensors"}}', "beside the index"),
            ('{"weight_map": {"w": "/etc/passwd"}}', "beside the index"),
            ('{"weight_map": {"w": "none.safetensors"}}', "no such file"),
            (json.dumps({"weight_map": where | {"more": where["mask"]}}), "'more'"),
        ]:
            path.write_text(text)
            with pytest.raises(InputError, match=message):
                read_checkpoint(path)


@pytest.mark.parametrize(
    "name", ["optimised.weight", "optim_latents.weight", "decoder.momentum_buffer", "optimizer.lstm.weight", "opt.w"]
)
def test_weights_with_names_like_those_of_optimisers(name):
    checkpoint = read_checkpoint({name: np.ones((4, 4)), "w": np.ones((4, 4))})
    assert set(checkpoint.state) == {name, "w"}
    assert list(read_checkpoint({name: np.ones(3)}).state) == [name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\0" * 257 + b"ustar\0" + b"\0" * 300, "a tar archive"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"<html>", "unknown kind"),
    ],
)
def test_files_that_hold_no_network_are_named(tmp_path, content, message):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_checkpoint(tmp_path / "x.pth")


def test_an_archive_of_arrays_and_objects(tmp_path):
    np.savez(
        tmp_path / "x.npz", w=np.ones(3), names=np.array(["a"]), objects=np.array([None, 1]), wide=np.longdouble(1)
    )
    checkpoint = read_checkpoint(tmp_path / "x.npz")
    assert list(checkpoint.state) == ["w"]
    assert [line.split(":")[0] for line in checkpoint.skipped] == ["names", "objects", "wide"]


def test_files_for_another_verb_are_named(tmp_path):
    for head, what in ((MAGIC, "is a .sinr file already"), (b"\x89PNG\r\n\x1a\n", "for encode")):
        (tmp_path / "a.bin").write_bytes(head + bytes(600))
        with pytest.raises(InputError, match=what):
            read_checkpoint(tmp_path / "a.bin")
