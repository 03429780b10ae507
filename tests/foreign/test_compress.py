"""Networks of other people: what compressing them keeps, and what comes back."""

import dataclasses
import json
import math
import tomllib
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from sinr_codec import codec, networks
from sinr_codec.container import read, write
from sinr_codec.errors import InputError, SinrError
from sinr_codec.fields import MLP, ReLU, Sine
from sinr_codec.foreign.checkpoints import write_checkpoint
from sinr_codec.foreign.compress import FIDELITY, compress, compress_report
from sinr_codec.foreign.decompress import decompress
from sinr_codec.foreign.descriptions import description_of
from sinr_codec.signals.image import ImageSignal


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


SIREN = MLP(2, 3, 16, 1, Sine(30.0))


def foreign(field=SIREN, seed=1):
    """A field's weights under the keys of another program, and further tensors."""
    params = field.init(np.random.default_rng(seed))
    state = {f"net.net.{name.split('.')[1]}.0.{name.split('.')[2]}": array for name, array in params.items()}
    return state | {"epoch": np.array(2350)}


def outputs(state, coords, field=SIREN):
    arrays = [array for name, array in state.items() if name.startswith("net.")]
    return field.decoder(dict(zip(field.shapes(), arrays)))(coords).astype(float)


def refused(error, function, *arguments, **options):
    """The function raises this error, and its message is one line."""
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same_form(new, old):
    assert list(new) == list(old)
    assert [(w.shape, w.dtype) for w in new.values()] == [(w.shape, w.dtype) for w in old.values()]


class TestCompress:
    def test_fidelity(self):
        state = foreign()
        report = compress_report(state, preset="fast")
        assert report.field == SIREN
        assert report.bytes == len(report.blob) == sum(report.sections.values())
        assert report.bytes < 0.8 * report.baseline_bytes
        assert report.fidelity >= FIDELITY - 0.02
        back = decompress(report.blob)
        same_form(back, state)
        assert back["epoch"] == 2350
        axes = np.linspace(-0.999, 0.998, 157), np.linspace(-0.997, 0.999, 163)
        coords = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2).astype(np.float32)
        old, new = outputs(state, coords), outputs(back, coords)
        assert -10 * math.log10(np.mean((new - old) ** 2) / np.ptp(old) ** 2) >= 46 - 0.05
        verified = codec.verify(report.blob, state)
        assert verified.ok
        assert report.networks[0].assumed  # an untrained network tells nothing of its first layer
        assert any("assumed" in line for line in verified.lines)
        assert any("assumed" in note and "sine:30,3000" in note for note in report.notes)
        assert len(compress(state, fidelity=60, preset="fast")) > report.bytes

    def test_paper(self):
        state = foreign()
        report = compress_report(state, preset="paper")
        assert "published" in report.criterion
        assert report.fidelity > 20
        same_form(decompress(report.blob), state)

    def test_what_is_unknown_is_kept_bit_by_bit(self):
        rng = np.random.default_rng(0)
        state = {"a.weight": rng.normal(size=(40, 30)).astype(np.float32), "b": rng.laplace(size=900)}
        report = compress_report(state)
        assert (report.fidelity, report.field, report.networks) == (None, None, ())
        assert report.exact == report.weights == 2100
        assert any("no known network" in note for note in report.notes)
        back = decompress(report.blob)
        same_form(back, state)
        assert all(back[name].tobytes() == old.tobytes() for name, old in state.items())
        verified = codec.verify(report.blob, state)
        assert verified.ok
        assert verified.measured == math.inf
        paper = compress_report(state, preset="paper")
        assert paper.blob == report.blob

    def test_weights_snr(self):
        rng = np.random.default_rng(0)
        state = {"a.weight": rng.normal(size=(40, 30)).astype(np.float32), "b": rng.laplace(size=900)}
        report = compress_report(state, weights_snr=30)
        assert report.exact == 0
        assert "30 dB" in report.criterion
        back = decompress(report.blob)
        same_form(back, state)
        for name, old in state.items():
            assert 30 <= 10 * math.log10(np.sum(old**2) / np.sum((back[name] - old.astype(float)) ** 2)) < 45
        assert codec.verify(report.blob, state).ok

    def test_several_networks(self):
        other = {f"aux.{i}": np.random.default_rng(i).normal(size=40 + i) for i in range(2)}
        state = {f"a.{name}": array for name, array in foreign().items()} | other
        state |= {f"b.{name}": array for name, array in foreign(seed=5).items()}
        report = compress_report(state, preset="fast", fidelity=40)
        assert [one.name for one in report.networks] == ["a.", "b."]
        assert report.fidelity == min(one.fidelity for one in report.networks)
        assert all(39.9 < one.fidelity < 41 for one in report.networks)
        assert report.field is None
        assert report.exact == 81 + 2
        back = decompress(report.blob)
        same_form(back, state)
        assert all(back[name].tobytes() == old.tobytes() for name, old in other.items())
        verified = codec.verify(report.blob, state)
        assert verified.ok
        assert verified.measured == pytest.approx(report.fidelity)
        assert codec.info(report.blob)["field"] == "mlp a., mlp b."
        # Damage to one of them is seen, whichever it is.
        for name in ("a.net.net.1.0.weight", "b.net.net.1.0.weight"):
            assert not codec.verify(report.blob, state | {name: -state[name]}).ok

    def test_a_network_with_a_hole(self):
        state = foreign()
        state["net.net.1.0.bias"][3] = np.nan
        report = compress_report(state, activation=Sine(30.0))
        assert report.networks == ()
        assert any("not all finite" in note for note in report.notes)
        back = decompress(report.blob)
        assert all(back[name].tobytes() == old.tobytes() for name, old in state.items())

    def test_optimiser(self, torch, tmp_path):
        model = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
        optimiser = torch.optim.Adam(model.parameters())
        model(torch.rand(9, 2)).sum().backward()
        optimiser.step()
        path = tmp_path / "a.pth"
        torch.save({"model": model.state_dict(), "optimizer": optimiser.state_dict(), "epoch": 7}, path)
        options = {"activation": ReLU(), "preset": "fast"}
        without = compress_report(path, **options)
        assert any("optimiser" in note for note in without.notes)
        assert list(decompress(without.blob, tmp_path / "b.pth")) == [f"model.{name}" for name in model.state_dict()]
        loaded = torch.load(tmp_path / "b.pth", weights_only=True)
        assert set(loaded) == {"model", "epoch"}
        model.load_state_dict(loaded["model"])
        assert codec.verify(without.blob, path).ok

        kept = compress_report(path, keep_optimiser=True, weights_snr=20, **options)
        decompress(kept.blob, tmp_path / "c.pth")
        loaded = torch.load(tmp_path / "c.pth", weights_only=True)
        for number, old in optimiser.state_dict()["state"].items():
            for name, tensor in old.items():
                assert torch.equal(loaded["optimizer"]["state"][number][name], tensor)
        optimiser.load_state_dict(loaded["optimizer"])
        assert (kept.fidelity, kept.field) == (without.fidelity, without.field)
        assert codec.verify(kept.blob, path).ok

    def test_signal(self, torch):
        y, x = np.mgrid[:16, :24] / 24
        picture = np.uint8(120 + 110 * np.stack([np.sin(5 * x) * y, np.cos(4 * (x + y)), x * y], -1))
        encoded = codec.encode(picture, width=12, preset="fast", depth=1, activation=Sine(30.0))
        state, activation = decompress(encoded.blob), encoded.field.activation
        report = compress_report(state, signal=picture, max_drop=0.5, activation=activation)
        assert report.field == encoded.field
        coords, _ = ImageSignal.load(picture).batch(np.arange(16 * 24))
        values = encoded.field.decoder(decompress(report.blob))(coords)
        decoded = np.clip(np.round((values + 1) * 127.5), 0, 255).reshape(picture.shape)
        after = -10 * math.log10(np.mean((decoded - picture) ** 2) / 255**2)
        assert report.psnr == pytest.approx(after, abs=1e-3)
        assert encoded.psnr - after <= 0.52
        assert "signal" in refused(InputError, compress, state, signal=picture[:, :, 0], activation=Sine(45.0))
        assert "signal" in refused(InputError, compress, {"x": np.zeros(100)}, signal=picture)

    def test_all_kinds_of_tensors(self, tmp_path):
        rng = np.random.default_rng(0)
        noise = rng.normal(size=(20, 30))
        state = {
            "z": noise.astype(np.float32),
            "half": noise.astype(np.float16),
            "bf16": noise.astype(ml_dtypes.bfloat16),
            "wide": noise * 1e300,
            "small": noise * 1e-300,
            "complex": (noise + 1j).astype(np.complex64),
            "ints": rng.integers(-(2**40), 2**40, (4, 5)),
            "bytes": rng.integers(0, 256, 77).astype(np.uint8),
            "mask": noise > 0,
            "empty": np.zeros((0, 4), np.float32),
            "scalar": np.float32(3.25).reshape(()),
            "one": np.array([7.0]),
            "zero": np.zeros((3, 4), np.float16),
            "nan": np.array([np.nan, np.inf, 1], np.float32),
            "a": np.full(50, 2.5, np.float32),
        }
        blob = compress(state)
        back = decompress(blob)
        same_form(back, state)
        for name in state:
            assert back[name].tobytes() == state[name].tobytes(), name
        blob = compress(state, weights_snr=46)
        back = decompress(blob)
        same_form(back, state)
        for name in ("ints", "bytes", "mask", "empty", "nan", "zero"):
            assert back[name].tobytes() == state[name].tobytes(), name
        for name in ("z", "half", "bf16", "wide", "small", "complex", "scalar", "one", "a"):
            unit = np.abs(state[name].astype(complex)).max()
            error = np.abs(back[name].astype(complex) / unit - state[name].astype(complex) / unit)
            assert error.max() < 0.05, name
        assert codec.verify(blob, state).ok
        assert len(codec.info(blob)["tensors"]) == len(state)
        write_checkpoint({name: array for name, array in back.items() if name != "complex"}, tmp_path / "a.safetensors")

    @pytest.mark.parametrize("known", [True, False])
    def test_verify_does_not_ask_for_an_order(self, known):
        state = foreign() if known else {"b": np.arange(900.0), "a": np.arange(50.0) ** 2}
        blob = compress(state, preset="fast")
        turned = dict(reversed(state.items()))
        assert codec.verify(blob, turned).ok
        assert codec.verify(blob, turned).measured == codec.verify(blob, state).measured
        name = next(iter(state))
        for wrong in (
            {key: array for key, array in state.items() if key != name},
            state | {"more": np.zeros(3)},
            state | {name: state[name][:-1]},
        ):
            refused(InputError, codec.verify, blob, wrong)
        changed = foreign(seed=9) if known else {key: -array for key, array in state.items()}
        if known:
            assert not codec.verify(blob, changed).ok
        assert codec.verify(blob, changed).measured < 20

    @pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth"])
    def test_files(self, tmp_path, suffix):
        if suffix == ".pth":
            pytest.importorskip("torch")
        model, packed, back = (tmp_path / name for name in (f"a{suffix}", "a.sinr", f"b{suffix}"))
        write_checkpoint(foreign(), model)
        report = compress_report(model, packed, preset="fast")
        assert packed.read_bytes() == report.blob
        assert report.path == packed
        assert codec.verify(packed, model).ok
        state = decompress(packed, back)
        assert codec.verify(packed, back).measured > 100
        same_form(state, decompress(report.blob))

    def test_a_module(self, torch):
        layers = [torch.nn.Linear(2, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)]
        module = torch.nn.Sequential(*layers).to(torch.bfloat16)
        state = decompress(compress(module, preset="fast"))
        assert list(state) == ["0.weight", "0.bias", "2.weight", "2.bias"]
        assert {str(array.dtype) for array in state.values()} == {"bfloat16"}

    @pytest.mark.parametrize(
        ("options", "word"),
        [
            ({"fidelity": 0}, "fidelity"),
            ({"fidelity": math.nan}, "fidelity"),
            ({"max_drop": -1}, "max_drop"),
            ({"weights_snr": 0}, "weights_snr"),
            ({"describe": {"network": [{"activation": "sine"}]}, "activation": Sine(30.0)}, "activation"),
            ({"describe": {"network": [{"activation": "tanh"}]}}, "network 1: activation"),
            ({"describe": {"network": [{"prefix": "net.", "activation": "sine"}] * 2}}, "already part"),
            ({"describe": {"networks": []}}, "'networks'"),
            ({"describe": {}}, "[[network]]"),
            ({"describe": "none.toml"}, "none.toml"),
            ({"describe": "none.yaml"}, ".toml or .json"),
            ({"preset": "huge"}, "preset"),
            ({"seed": -1}, "seed"),
            ({"seed": 2**70}, "seed"),
        ],
    )
    def test_refuses(self, options, word):
        assert word in refused(InputError, compress, foreign(), **options)

    @pytest.mark.parametrize("model", [{}, {"a": "text"}, "none.pth", 5, None])
    def test_what_is_no_network(self, model):
        refused(InputError, compress, model)

    def test_a_network_is_no_signal(self):
        blob = compress({"a": np.arange(60.0)})
        assert "decompress" in refused(SinrError, codec.open, blob)
        assert codec.info(blob)["kind"] == "network"

    def test_a_signal_gives_its_weights(self, tmp_path):
        file = Path(__file__).parents[1] / "conformance/direct.sinr"
        state = decompress(file, tmp_path / "a.npz")
        same_form(state, MLP(2, 3, 4, 1).init(np.random.default_rng(0)))
        assert np.load(tmp_path / "a.npz").files == list(state)


def test_the_documented_names():
    """docs/guide/networks.md names `sinr_codec.networks.compress_report`."""
    assert networks.compress_report is compress_report
    assert networks.decompress is decompress
    assert networks.description_of is description_of


# -- descriptions ----------------------------------------------------------------------------------------------


def encoded_net(rng):
    """A network of 3 coordinates in 2 octaves, with widths of its own, that nothing recognises."""
    sizes = [(15, 32), (32, 24), (39, 4)]
    return {
        f"{name}.{part}": (rng.normal(size=(fan_out, fan_in) if part == "weight" else fan_out) / 4).astype(np.float32)
        for name, (fan_in, fan_out) in zip(("in", "mid", "out"), sizes)
        for part in ("weight", "bias")
    } | {"table": rng.normal(size=(9, 9))}


TOML = """
[[network]]
layers = ["in", "mid", "out"]
activation = "relu"
encoding = { octaves = 2 }
output = "sigmoid"
domain = [0, 1]
"""


class TestDescription:
    def test_toml_json_and_python(self, tmp_path):
        (tmp_path / "a.toml").write_text('[[network]]\nprefix = "net."\nactivation = "sine:25"')
        table = {"network": [{"prefix": "net.", "activation": "sine:25"}]}
        (tmp_path / "a.json").write_text(json.dumps(table))
        state = foreign(MLP(1, 1, 8, 1))
        forms = (table, tmp_path / "a.toml", str(tmp_path / "a.json"), table["network"])
        assert len({compress(state, describe=form, preset="paper") for form in forms}) == 1

    def test_what_nothing_recognises(self):
        state = encoded_net(np.random.default_rng(0))
        assert compress_report(state).networks == ()
        table = tomllib.loads(TOML)
        report = compress_report(state, describe=table, fidelity=50, preset="fast")
        (network,) = report.networks
        assert "sigmoid" in network.compared
        assert "[0, 1]^3" in network.compared
        assert 49.9 < network.fidelity < 54
        assert network.bytes < 1000  # 1,120 without scales
        back = decompress(report.blob)
        same_form(back, state)
        assert back["table"].tobytes() == state["table"].tobytes()
        assert report.exact == 81
        verified = codec.verify(report.blob, state)
        assert verified.ok
        assert verified.measured == pytest.approx(report.fidelity)

    @pytest.mark.parametrize(
        ("name", "text"),
        [("a.toml", "x = = 1"), ("a.json", "{"), ("a.toml", ""), ("a.toml", "network = 3"), ("a.json", "[" * 9999)],
    )
    def test_unreadable(self, tmp_path, name, text):
        (tmp_path / name).write_text(text)
        assert name in refused(InputError, compress, foreign(), describe=tmp_path / name)

    def test_to_start_from(self):
        state = foreign()
        text = description_of(state)
        table = tomllib.loads(text)
        described = compress_report(state, describe=table, preset="fast")
        recognised = compress_report(state, preset="fast")
        assert described.field == recognised.field == SIREN
        assert described.sections.keys() == recognised.sections.keys()
        assert codec.verify(described.blob, state).ok
        text = description_of(encoded_net(np.random.default_rng(0)))
        assert tomllib.loads(text) == {}
        assert "32 -> 24" in text

    def test_nonsense_in_a_file(self):
        """What `extra` says is read by `verify` and for torch files only, and trusted by neither."""
        state = foreign()
        header, sections = read(compress(state, preset="fast"))
        for extra in (
            {"networks": [{"activation": "tanh"}]},
            {"networks": [{"kind": "nerf", "prefix": "none"}]},
            {"networks": ["text"]},
        ):
            blob = write(dataclasses.replace(header, extra=extra), sections)
            same_form(decompress(blob), state)
            refused(SinrError, codec.verify, blob, state)
        for extra in ({"networks": 3}, {"containers": 3, "values": [1]}, {"containers": {"net": "x"}}, {1: 2}):
            blob = write(dataclasses.replace(header, extra=extra), sections)
            same_form(decompress(blob), state)
            assert codec.verify(blob, state).ok


class TestOthers:
    @pytest.mark.slow
    def test_nerfs(self, data_file, torch, tmp_path):
        path = data_file("checkpoints/krrish94_lego_lowres.ckpt")
        report = compress_report(path, tmp_path / "a.sinr", preset="fast", fidelity=40)
        assert [one.name for one in report.networks] == ["model_coarse_state_dict.", "model_fine_state_dict."]
        assert report.fidelity >= 40 - 0.02
        assert report.bytes < 0.75 * report.baseline_bytes
        decompress(tmp_path / "a.sinr", tmp_path / "b.ckpt")
        old, new = (torch.load(name, map_location="cpu", weights_only=True) for name in (path, tmp_path / "b.ckpt"))
        assert set(new) == set(old) - {"optimizer_state_dict"}
        assert new["iter"] == old["iter"]
        for name in ("model_coarse_state_dict", "model_fine_state_dict"):
            assert list(new[name]) == list(old[name])
        assert codec.verify(tmp_path / "a.sinr", path).ok
