"""What a solid costs without loss, by a context model and an arithmetic coder (`sinr_codec.bench.lossless`).

python benchmarks/shape_lossless.py statue.ply --resolution 256 [--json FILE]
"""

import argparse
from pathlib import Path

from sinr_codec.bench.lossless import lossless_bytes
from sinr_codec.bench.provenance import write_report
from sinr_codec.signals.shape import RESOLUTION, ShapeSignal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sources", nargs="+", help="meshes, or volumes of zeros and ones")
    parser.add_argument("--resolution", type=int, help=f"voxels of a mesh's longest side (default {RESOLUTION})")
    parser.add_argument("--json", type=Path, help="file for the results")
    args = parser.parse_args()
    rows = []
    for source in args.sources:
        options = {} if args.resolution is None else {"resolution": args.resolution}
        solid = ShapeSignal.load(source, **options).solid
        size = lossless_bytes(solid)
        name, shape = Path(source).name, "x".join(map(str, solid.shape))
        rows.append({"source": name, "shape": solid.shape, "bytes": size, "bits_a_voxel": 8 * size / solid.size})
        print(f"{name}: {shape} voxels, {size:,} bytes, {8 * size / solid.size:.4f} bits a voxel")
    write_report(args.json, "shape_lossless", rows)


if __name__ == "__main__":
    main()
