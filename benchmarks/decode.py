"""Decode of pictures of 768x512: a SIREN 3x128, over its bare products and over PyTorch, and a pyramid of latents.

    python benchmarks/decode.py [--json FILE] [--repeats N]

All take float32 on the same cores; rounds alternate, and the median of each is compared. "products" are the matrix
products of our tiles and nothing else; "render" starts from the weights; "file" is the whole `sinr.decode`, entropy
decoding included, and "exact" the same file evaluated by integers; "torch" is a plain module called once with all
pixels, without gradients, as people render their SIRENs, rounded to bytes as well. "command" is `sinr decode` from its
start to the PNG on the disk, of this file, of a picture of 64 x 64 and of the pyramid, beside the start of Python with
NumPy alone. The pyramid has the usual networks and random latents of about a third of a bit a pixel; its file is
decoded by NumPy and, with compiled code, by numba. Its ratios are those of CPU time, which other work on the machine
changes less.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from sinr_codec.bench.provenance import machine, write_report
from sinr_codec.codec import decode
from sinr_codec.coding import latents_numba
from sinr_codec.coding.tensor import Direct, encode_tensor
from sinr_codec.container import FIELD, Header, write
from sinr_codec.evaluators import tile_of
from sinr_codec.fields import MLP, Pyramid
from sinr_codec.fields.activations import Sine
from sinr_codec.fields.pyramid_section import PyramidSection
from sinr_codec.signals import lattice
from sinr_codec.signals.base import Fields
from sinr_codec.signals.image import ImageSpec
from sinr_codec.tiles import map_tiles

HEIGHT, WIDTH = 512, 768
OMEGA = 30.0
SCALE = 0.17  # of the latents of the pyramid
WANTED = {
    "file over products": 1.5,
    "torch over render": 2.0,
    "exact over file": 2.0,
    "seconds of a small command": 1.0,
    "seconds of the command, pyramid": 0.4,
    "seconds of a pyramid by numba": 0.15,
}


def products(field: MLP, params: dict[str, Any]) -> Callable[[], None]:
    """Every matrix product of a rendering and nothing else, written into buffers that stay."""
    weights = [np.ascontiguousarray(params[f"layers.{i}.weight"].T) for i in range(field.layers)]
    most = tile_of(field)
    local = threading.local()

    def tile(count: int) -> None:
        if not hasattr(local, "inputs"):
            local.inputs = [np.ones((most, w.shape[0]), np.float32) for w in weights]
            local.outputs = [np.empty((most, w.shape[1]), np.float32) for w in weights]
        for x, w, y in zip(local.inputs, weights, local.outputs):
            np.matmul(x[:count], w, out=y[:count])

    pixels = HEIGHT * WIDTH
    counts = [min(most, pixels - start) for start in range(0, pixels, most)]

    def run() -> None:
        for _ in map_tiles(tile, counts):
            pass

    return run


def eager(field: MLP, params: dict[str, Any], spec: ImageSpec) -> Callable[[], Any]:
    """The network as anybody writes it in PyTorch, on the same coordinates."""
    import torch

    class Siren(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(
                torch.nn.Linear(*reversed(params[f"layers.{i}.weight"].shape)) for i in range(field.layers)
            )
            self.load_state_dict({name: torch.from_numpy(w) for name, w in params.items()})

        def forward(self, x: Any) -> Any:
            for layer in self.layers[:-1]:
                x = torch.sin(OMEGA * layer(x))
            return self.layers[-1](x)

    spans = lattice.window((spec.height, spec.width), most=1 << 30)
    rows, columns = lattice.axes_of(spec.grid, spans)
    coords = torch.from_numpy(spec.grid.points(rows[:, None], columns[None]).reshape(-1, 2))
    module = Siren()

    def run() -> Any:
        with torch.no_grad():
            values = module(coords)
            return ((values + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).reshape(HEIGHT, WIDTH, 3).numpy()

    return run


def command(file: Path) -> None:
    """`sinr decode` of a file, from its start to its end."""
    out = file.with_suffix(".png")
    subprocess.run([Path(sys.executable).with_name("sinr"), "decode", file, "-o", out], check=True, capture_output=True)
    out.unlink()


def file_of(field: MLP, params: dict[str, Any], spec: ImageSpec, exact: bool = False) -> bytes:
    """The network as a file at about 7 bits a weight, the usual rate of `balanced`."""
    records = [encode_tensor(w, Direct(step=float(w.std()) / 32)) for w in params.values()]
    return write(Header(FIELD, field.to_header(), spec.to_header(), exact=exact), [b"".join(records)])


def pyramid_file(spec: ImageSpec) -> bytes:
    """A picture of random latents, most of them zero, under the usual networks of small random weights."""
    rng = np.random.default_rng(0)
    field = Pyramid.for_grid((spec.height, spec.width), spec.channels, residuals=1)
    params = field.init(rng)
    for name, shape in field.networks.items():
        params[name] = params[name] + rng.integers(-8, 9, shape, np.int32)
    params["context.0.bias"][:, -1] = 32 * round(8 * np.log2(SCALE))
    for name, shape in field.latents.items():
        params[name] = np.rint(rng.laplace(0, SCALE, shape)).astype(np.int32)
    section = PyramidSection()
    coded = section.assemble(field, section.records(field, params))
    return write(Header(FIELD, field.to_header(), spec.to_header()), [coded.section])


def decoded_by(blob: bytes, compiled: bool) -> Callable[[], Any]:
    """Decoding of a pyramid with compiled code or without it."""

    def run() -> Any:
        with mock.patch.object(latents_numba, "pays", return_value=compiled):
            return decode(blob)

    return run


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Seconds that a call takes, by the clock and of the CPU, those of its processes included."""
    start, before = time.perf_counter(), cpu_time()
    run()
    return time.perf_counter() - start, cpu_time() - before


def cpu_time() -> float:
    """Seconds of the CPU that this process and those that it has waited for have taken."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()

    field = MLP(2, 3, 128, 3, Sine(OMEGA))
    params = field.init(np.random.default_rng(0))
    spec, small = (ImageSpec(h, w, 3, "uint8", "RGB") for h, w in ((HEIGHT, WIDTH), (64, 64)))
    blob, exact, pyramid = file_of(field, params, spec), file_of(field, params, spec, exact=True), pyramid_file(spec)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("picture.sinr", "small.sinr", "pyramid.sinr", "exact.sinr")]
        files[0].write_bytes(blob)
        files[1].write_bytes(file_of(MLP(2, 3, 32, 3), MLP(2, 3, 32, 3).init(np.random.default_rng(0)), small))
        files[2].write_bytes(pyramid)
        files[3].write_bytes(exact)
        runs: dict[str, Callable[[], Any]] = {
            "products": products(field, params),
            "render": lambda: spec.render(Fields([field.decoder(params)], tile_of(field))),
            "file": lambda: decode(blob),
            "exact": lambda: decode(exact),
            "torch": eager(field, params, spec),
            "command": lambda: command(files[0]),
            "command, exact": lambda: command(files[3]),
            "command, small": lambda: command(files[1]),
            "command, pyramid": lambda: command(files[2]),
            "import numpy": lambda: subprocess.run([sys.executable, "-c", "import numpy"], check=True),
            "pyramid": decoded_by(pyramid, compiled=False),
            "pyramid by numba": decoded_by(pyramid, compiled=True),
        }
        for run in runs.values():
            run()
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
        for _ in range(options.repeats):
            for name, run in runs.items():
                times[name].append(timed(run))
    median, cpu = ({name: statistics.median(v[i] for v in values) for name, values in times.items()} for i in (0, 1))
    levels = np.abs(runs["render"]().astype(int) - runs["torch"]())
    result = {
        "what": f"SIREN 3x128 and a pyramid at {WIDTH}x{HEIGHT}, NumPy {np.__version__}",
        "seconds": {name: round(value, 4) for name, value in median.items()},
        "cpu_seconds": {name: round(value, 4) for name, value in cpu.items()},
        "over_products": {name: round(median[name] / median["products"], 2) for name in ("render", "file", "torch")},
        "exact_over_file": {
            "call": round(cpu["exact"] / cpu["file"], 2),
            "command": round(cpu["command, exact"] / cpu["command"], 2),
        },
        "torch_over_render": round(median["torch"] / median["render"], 2),
        "pyramid": {
            "bytes": len(pyramid),
            "command_over_import_numpy": round(cpu["command, pyramid"] / cpu["import numpy"], 2),
            "over_products": round(cpu["pyramid"] / cpu["products"], 2),
            "by_numba_over_products": round(cpu["pyramid by numba"] / cpu["products"], 2),
        },
        "pixels_that_differ_by_a_level": float((levels > 0).mean()),
        "largest_difference": int(levels.max()),
        "wanted": WANTED,
    }
    print(f"{result['what']}; {machine()}; files of {len(blob):,} and {len(pyramid):,} bytes")
    for name, value in median.items():
        ratio = value / median["products"]
        print(f"  {name:<16} {value:7.3f} s, {cpu[name]:7.3f} of the CPU   {ratio:5.2f} x the products")
    print(f"  exact over file {result['exact_over_file']}")
    print(f"  torch over render {result['torch_over_render']}; {levels.max()} level(s) apart at most")
    write_report(options.json, "decode", result)


if __name__ == "__main__":
    main()
