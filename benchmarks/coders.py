"""The same trained networks by our coders and by nncodec (DeepCABAC with dependent quantisation, ISO/IEC 15938-17).

    python benchmarks/coders.py --data DIR [--pictures kodim03 ...] [--widths 64 128] [--checkpoints FILE ...]
                                [--shapes FILE ...] [--nncodec PYTHON] [--refit] [--work DIR] [--json FILE]

Pictures are fitted as `sinr bench coding` does and may lose 0.1 dB; checkpoints keep 46 dB of their outputs; shapes may
lose 0.001 of their IoU. Rows stay in the work folder, so that a run that is stopped goes on where it was. nncodec runs
in an environment of its own, whose interpreter is PYTHON, at the coarsest QP that keeps the same quality; its bytes are
those of its bitstream, its quality that of what its decoder gives. It wants numpy<2, torch, torchvision, pandas,
scikit-learn, scipy, tqdm, h5py, ptflops, torchmetrics, Click, pybind11 and opencv-python-headless<4.11, and then
`pip install --no-deps --no-build-isolation nncodec==2.1.3`.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sinr_codec.bench.experiments import EXPERIMENTS
from sinr_codec.bench.fits import Fits, content_key
from sinr_codec.bench.provenance import write_report
from sinr_codec.container import read
from sinr_codec.foreign.checkpoints import read_checkpoint
from sinr_codec.foreign.compress import compress_report
from sinr_codec.foreign.decompress import decompress
from sinr_codec.foreign.fidelity import compare_networks
from sinr_codec.methods import METHODS, Task
from sinr_codec.methods.coin import SINE
from sinr_codec.planning.paper import baseline_bytes
from sinr_codec.presets import PRESETS
from sinr_codec.signals import registry
from sinr_codec.types import Params

FIDELITY = 46.0
QPS = (-90, -10)
"""From fine to coarse; a step of the quantiser grows by 2^(1/4) or so with each."""
OURS = {"scalar": "direct", "trellis": "trellis", "rounded": "rounded"}
RIVAL = """
import contextlib, io, sys
import numpy as np
from nncodec.nn import decode, encode
given, made, qp, folder = sys.argv[1:]
with contextlib.redirect_stdout(io.StringIO()):
    options = {"qp": int(qp), "nonweight_qp": -75, "use_dq": True, "verbose": False, "results": folder}
    stream = encode(dict(np.load(given)), options)
    np.savez(made, **{name: np.asarray(w) for name, w in decode(stream).items()})
print(len(stream))
"""


def nncodec(python: Path, params: Params, kept: Callable[[Params], bool]) -> dict[str, int] | None:
    """The coarsest QP that keeps what has to be kept, and its bytes."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.npz", Path(folder) / "made.npz"
        np.savez(given, **params)

        def coded(qp: int) -> tuple[int, bool]:
            command = [str(python), "-c", RIVAL, str(given), str(made), str(qp), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(f"nncodec at QP {qp}: {done.stderr.strip().splitlines()[-1]}")
            with np.load(made) as decoded:
                new = {name: decoded[name].reshape(w.shape).astype(w.dtype) for name, w in params.items()}
            return int(done.stdout.split()[-1]), kept(new)

        fine, coarse = QPS
        best = None
        while fine <= coarse:
            middle = (fine + coarse) // 2
            size, good = coded(middle)
            if good:
                best, fine = {"bytes": size, "qp": middle}, middle + 1
            else:
                coarse = middle - 1
        return best


def by_methods(task: Task, refit: bool, python: Path | None) -> dict[str, Any]:
    """A row of a network that was fitted to a signal."""
    error = task.error()
    before = error(task.params)
    row: dict[str, Any] = {"parameters": task.field.num_params, "baseline_bytes": baseline_bytes(task.params)}
    for name, method in (OURS | ({"refitted": "refitted"} if refit else {})).items():
        plan = METHODS[method].code(task).plan
        row[name] = {"bytes": plan.bytes, "drop": 10 * float(np.log10(error(plan.params) / before))}
    if python is not None:
        row["nncodec"] = nncodec(python, task.params, lambda new: error(new) <= task.limit(before))
    return row


def picture(path: Path, width: int, fits: Fits) -> Task:
    """A SIREN as the experiments have it."""
    signal = registry.load(path)
    recipe = replace(registry.kind_named("image").recipe, activation=SINE.activation, encoding=SINE.encoding)
    field = recipe.network(signal.spec, width, 3)
    key = content_key(np.asarray(signal.array), repr(signal.spec))
    fitted = fits.get(key, signal.parts[0], field, EXPERIMENTS["coding"].fit)
    return Task(field, {}, signal.parts[0]).with_params(fitted.params)


def shape(path: Path, width: int, fits: Fits) -> Task:
    """A Gaussian occupancy network."""
    signal = registry.load(path, "shape")
    recipe = registry.kind_named("shape").recipe
    field = recipe.network(signal.spec, width)
    key, settings = content_key(path.read_bytes()), recipe.settings(PRESETS["balanced"])
    fitted = fits.get(key, signal.parts[0], field, settings)
    return Task(field, {}, signal.parts[0], max_drop=1e-9, slack=1e-3).with_params(fitted.params)


def checkpoint(path: Path, refit: bool, python: Path | None) -> dict[str, Any]:
    """A row of somebody's networks, whose own outputs are the signal."""
    state = dict(read_checkpoint(path).state)
    row: dict[str, Any] = {"parameters": sum(w.size for w in state.values())}
    PRESETS["uniform"] = replace(PRESETS["fast"], rounding=None)  # one step a tensor
    presets = {"scalar": "uniform", "rounded": "balanced"} | ({"rounded-best": "best"} if refit else {})
    for name, preset in presets.items():
        report = compress_report(state, preset=preset, fidelity=FIDELITY)
        row["baseline_bytes"] = report.baseline_bytes
        row[name] = {"bytes": report.bytes, "fidelity": report.fidelity, "seconds": round(report.seconds)}
    header, _ = read(report.blob)
    assert decompress(report.blob).keys() == state.keys()
    if python is not None:
        floats = {name: w for name, w in state.items() if w.dtype.kind == "f" and w.ndim}
        rest = {name: w for name, w in state.items() if name not in floats}

        def kept(new: Params) -> bool:
            return compare_networks(header, state, {**rest, **new})[0] >= FIDELITY

        row["nncodec"] = nncodec(python, floats, kept)
    return row


def of_signal(
    make: Callable[[Path, int, Fits], Task], path: Path, width: int, fits: Fits, args: argparse.Namespace
) -> dict[str, Any]:
    """A row of a signal's network of three layers of a width, fitted or from the fits."""
    return by_methods(make(path, width, fits), args.refit, args.nncodec)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Kodak pictures")
    parser.add_argument("--pictures", nargs="*", default=[f"kodim{number:02}" for number in range(1, 9)])
    parser.add_argument("--widths", nargs="*", type=int, default=[64, 128])
    parser.add_argument("--checkpoints", nargs="*", type=Path, default=[])
    parser.add_argument("--shapes", nargs="*", type=Path, default=[])
    parser.add_argument("--nncodec", type=Path, metavar="PYTHON")
    parser.add_argument("--refit", action="store_true", help="train on for fewer bytes, too; checkpoints by `best`")
    parser.add_argument("--fits", type=Path, default=Path(".sinr-cache/fits"))
    parser.add_argument("--work", type=Path, default=Path(".sinr-cache/coders"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rows = []

    def add(name: str, measure: Callable[..., dict[str, Any]], *of: Any) -> None:
        kept = args.work / f"{name.replace(' ', '-')}.json"
        if not kept.exists():
            made = measure(*of)
            kept.write_text(json.dumps(made))
        row = json.loads(kept.read_text())
        rows.append({"network": name, **row})
        sizes = ", ".join(f"{key} {value['bytes']:,}" for key, value in row.items() if isinstance(value, dict))
        print(f"{name}: 16 bit + Brotli {row['baseline_bytes']:,} bytes; {sizes}", flush=True)
        write_report(args.json, "coders", {"rows": rows})

    fits = Fits(args.fits)
    for path in args.checkpoints:
        add(path.stem, checkpoint, path, args.refit, args.nncodec)
    for path in args.shapes:
        add(path.stem, of_signal, shape, path, 128, fits, args)
    for width in args.widths:
        for name in args.pictures:
            path = args.data / f"{name}.png"
            add(f"{name} 3x{width}", of_signal, picture, path, width, fits, args)


if __name__ == "__main__":
    main()
