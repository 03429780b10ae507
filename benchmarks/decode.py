"""Decode of a SIREN 3x128 at 768x512 on NumPy, over the time of its matrix products alone.

    python benchmarks/decode.py [--json FILE] [--repeats N]

Both take the same tiles of float32 on the same threads; rounds alternate, and the median of each is compared.
"render" starts from the weights; "file" is the whole `sinr.decode`, entropy decoding included. Target: <= 3.
"""

import argparse
import statistics
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sinr_codec.bench.provenance import machine, seconds, write_report
from sinr_codec.codec import decode
from sinr_codec.coding.tensor import Direct, encode_tensor
from sinr_codec.container import FIELD, Header, write
from sinr_codec.fields import MLP
from sinr_codec.packed import tile_of
from sinr_codec.signals.base import Fields
from sinr_codec.signals.image import ImageSpec
from sinr_codec.signals.tiles import map_tiles

HEIGHT, WIDTH, TARGET = 512, 768, 3.0


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


def file_of(field: MLP, params: dict[str, Any], spec: ImageSpec) -> bytes:
    """The network as a file at about 7 bits a weight, the usual rate of `balanced`."""
    records = [encode_tensor(w, Direct(step=float(w.std()) / 32)) for w in params.values()]
    return write(Header(FIELD, field.to_header(), spec.to_header()), [b"".join(records)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers to this file")
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()

    field = MLP(2, 3, 128, 3)
    params = field.init(np.random.default_rng(0))
    spec = ImageSpec(HEIGHT, WIDTH, 3, "uint8", "RGB")
    blob = file_of(field, params, spec)
    runs: dict[str, Callable[[], Any]] = {
        "products": products(field, params),
        "render": lambda: spec.render(Fields([field.decoder(params)], tile_of(field))),
        "file": lambda: decode(blob),
    }
    for run in runs.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, run in runs.items():
            times[name].append(seconds(run)[0])
    median = {name: statistics.median(values) for name, values in times.items()}
    result = {
        "what": f"SIREN 3x128 at {WIDTH}x{HEIGHT}, NumPy {np.__version__}, float32",
        "seconds": {name: round(value, 4) for name, value in median.items()},
        "ratio": {name: round(median[name] / median["products"], 2) for name in runs if name != "products"},
        "target": TARGET,
    }
    print(f"{result['what']}; {machine()}; a file of {len(blob):,} bytes")
    for name, value in median.items():
        print(f"  {name:<9} {value:7.3f} s   {value / median['products']:5.2f} x the products")
    write_report(options.json, "decode", result)


if __name__ == "__main__":
    main()
