"""Files of torch.save are read as data: compared with what PyTorch reads in them, and nothing of it runs."""

import argparse
import collections
import datetime
import enum
import io
import pathlib
import pickle
import types
import zipfile

import ml_dtypes
import numpy as np
import pytest

from sinr_codec.errors import InputError
from sinr_codec.foreign.checkpoints import read_checkpoint, write_checkpoint
from sinr_codec.foreign.compress import compress
from sinr_codec.foreign.decompress import decompress

torch = pytest.importorskip("torch")


class Settings(dict):
    """A dict of a class of its own, as programs keep settings in."""


class Kind(enum.Enum):
    """A value that no file can hold without the class."""

    ONE = 1


def saved(tree, **options):
    data = io.BytesIO()
    torch.save(tree, data, **options)
    return data.getvalue()


def numpy_of(tensor):
    tensor = torch.as_tensor(tensor).detach().resolve_conj().resolve_neg()
    return (
        tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16) if tensor.dtype == torch.bfloat16 else tensor.numpy()
    )


X = torch.arange(24.0).reshape(4, 6)
DTYPES = [getattr(torch, name) for name in (
    "float16", "float32", "float64", "bfloat16", "complex64", "complex128", "bool",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
)]  # fmt: skip
TENSORS = {
    **{str(dtype): torch.tensor([[0, 1, 2], [3, 4, 5]]).to(dtype) for dtype in DTYPES},
    "transposed": X.T,
    "part": X[1:3, 2::3],
    "row of the part's storage": X[2],
    "expanded": X[:1].expand(5, 6),
    "conjugate": torch.tensor([1 + 2j, 3 - 1j]).conj(),
    "negative": torch.tensor([1 + 2j, 3 - 1j]).conj().imag,
    "number": torch.tensor(3.5),
    "empty": torch.zeros(0, 3),
    "parameter": torch.nn.Parameter(torch.ones(2, 3)),
    "buffer": torch.nn.Buffer(torch.ones(2)),
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"_use_new_zipfile_serialization": False},
        {"pickle_protocol": 1},
        {"pickle_protocol": 4},
        {"pickle_protocol": 5, "_use_new_zipfile_serialization": False},
    ],
)
def test_tensors_are_those_that_torch_reads(options):
    tensors = TENSORS
    if options.get("_use_new_zipfile_serialization") is False:  # older than these dtypes
        tensors = {name: x for name, x in tensors.items() if "uint" not in name or name == "torch.uint8"}
    blob = saved({"model": tensors}, **options)
    expected = torch.load(io.BytesIO(blob), weights_only=False)["model"]
    checkpoint = read_checkpoint(blob)
    assert checkpoint.skipped == ()
    assert list(checkpoint.state) == [f"model.{name}" for name in tensors]
    for name, tensor in expected.items():
        array = checkpoint.state[f"model.{name}"]
        assert (array.dtype, array.shape) == (numpy_of(tensor).dtype, tuple(tensor.shape))
        assert array.tobytes() == numpy_of(tensor).tobytes()


def test_numpy_arrays_and_scalars_are_tensors():
    tree = {
        "psnr": np.float64(31.2),
        "step": np.int64(7),
        "flag": np.bool_(True),
        "mean": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "empty": np.zeros((0, 2)),
    }
    for protocol in range(2, 6):
        for blob in (pickle.dumps(tree, protocol), saved(tree, pickle_protocol=protocol)):
            state = read_checkpoint(blob).state
            for name, value in tree.items():
                assert state[name].dtype == value.dtype.newbyteorder("=")
                assert np.array_equal(state[name], value)
                assert state[name].shape == np.shape(value)


def test_what_is_beside_the_tensors_is_kept_or_named(tmp_path):
    tree = {
        "model": collections.defaultdict(list, {"w": X, "b": X[0]}),
        "settings": Settings(lr=0.1, name="x"),
        "recent": collections.deque([1, 2], maxlen=5),
        "size": torch.Size([2, 3]),
        "counts": collections.Counter("aab"),
        "args": argparse.Namespace(lr=1),
        "place": types.SimpleNamespace(a=1),
        "path": pathlib.PurePosixPath("/tmp/x"),
        "day": datetime.datetime(2020, 1, 1),
        "kind": Kind.ONE,
        "names": {"a", "b"},
        "raw": b"bytes",
        "dtype": torch.float32,
        "device": torch.device("cpu"),
        "wide": np.longdouble(3),
        "text": np.array(["a"]),
        "time": np.datetime64("2020-01-01"),
        "objects": np.array([None]),
        "small": torch.zeros(2, dtype=torch.float8_e4m3fn),
        "sparse": X.to_sparse(),
        "class": Settings,
        (1, 2): X,
    }
    (tmp_path / "x.ckpt").write_bytes(saved(tree))
    checkpoint = read_checkpoint(tmp_path / "x.ckpt")
    assert list(checkpoint.state) == ["model.w", "model.b"]
    assert checkpoint.values == {
        "settings.lr": 0.1, "settings.name": "x", "recent": [1, 2], "size": (2, 3), "counts.a": 2, "counts.b": 1,
    }  # fmt: skip
    left_out = [line.split(":")[0] for line in checkpoint.skipped]
    assert set(left_out) == set(list(tree)[5:-1]) | {"keys that are no text became text"} | {
        "an entry whose key is a Python object (tuple), neither text nor a number"
    }
    assert "args: a Python object (argparse.Namespace), not a tensor" in checkpoint.skipped
    assert "small: a tensor of float8_e4m3fn" in [line.split(",")[0] for line in checkpoint.skipped]


def test_what_only_a_tree_of_python_says_comes_back(tmp_path):
    tree = {
        "model": {"w": X},
        "callbacks": {},
        "loops": {"fit": {"state": {}, "n": 3}},
        "best": float("inf"),
        "worst": float("-inf"),
        "nothing": float("nan"),
        "seed": 2**70,
        "losses": [0.5, float("inf"), (1, 2)],
        "betas": (0.9, 0.999),
        "none": (),
        "pair": (X, {"a": 1}),
        "list": [1, X, {}],
    }
    decompress(compress(tree), tmp_path / "back.ckpt")
    back = torch.load(tmp_path / "back.ckpt", weights_only=True)
    assert repr(in_order(back)) == repr(in_order(tree))


def in_order(node):
    if isinstance(node, dict):
        return {key: in_order(node[key]) for key in sorted(node)}
    return type(node)(map(in_order, node)) if isinstance(node, list | tuple) else node


def nest(times):
    node = []
    for _ in range(times):
        node = [node] * 4
    return node


def cycle():
    node = []
    node += [node, node]
    return node


@pytest.mark.parametrize(("odd", "zipped"), [(nest(20), True), (cycle(), False), ([nest(3)] * 4000, True)])
def test_a_few_bytes_that_are_a_tree_of_any_size(odd, zipped):
    with pytest.raises(InputError, match="more than 65,536 dicts and lists"):
        read_checkpoint(saved({"w": X, "odd": odd}, _use_new_zipfile_serialization=zipped))


def test_keys_that_hashing_would_take_for_ever():
    # (()) doubled sixty times, as a key of a dict.
    doubled = b")" + b"q\0h\0\x86" * 60
    blob = b"\x80\x02}" + b"X\1\0\0\0w]s" + doubled + b"Ns."
    with pytest.raises(InputError, match="holds no tensors"):
        read_checkpoint(blob)


def test_whole_modules_and_programs_are_refused():
    with pytest.raises(InputError, match=r"holds Python objects \(torch\.nn\.modules\.linear\.Linear\)"):
        read_checkpoint(saved(torch.nn.Linear(2, 2)))
    program = io.BytesIO(saved({"w": X}))
    with zipfile.ZipFile(program, "a") as archive:
        archive.writestr(archive.namelist()[0].replace("data.pkl", "constants.pkl"), b"")
    with pytest.raises(InputError, match="TorchScript"):
        read_checkpoint(program.getvalue())


@pytest.mark.parametrize("name", ["200000.tar", "a.pth.tar", "model", "a.model", "a.pkl", "wrong.safetensors"])
def test_the_first_bytes_tell_the_kind(tmp_path, name):
    (tmp_path / name).write_bytes(saved({"w": X}))
    assert list(read_checkpoint(tmp_path / name).state) == ["w"]
    with (tmp_path / name).open("rb") as file:
        assert list(read_checkpoint(file).state) == ["w"]


def test_tar_is_written_as_torch_writes_it(tmp_path):
    write_checkpoint({"w": numpy_of(X)}, tmp_path / "a.pth.tar")
    assert torch.equal(torch.load(tmp_path / "a.pth.tar", weights_only=True)["w"], X)
