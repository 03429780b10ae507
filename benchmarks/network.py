"""Bytes of somebody's trained network as a `.sinr` file, against 16-bit min-max + Brotli.

    python benchmarks/network.py siren.pth [--fidelity 46] [--json FILE]

The fidelity is measured on the decoded network, at other points than those that the planner saw.
"""

import argparse
from pathlib import Path

from sinr_codec.bench.provenance import write_report
from sinr_codec.foreign.compress import compress_report
from sinr_codec.foreign.decompress import decompress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help=".safetensors, .npz, .pt, .pth or .ckpt")
    parser.add_argument("--fidelity", type=float, default=46.0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    report = compress_report(args.model, fidelity=args.fidelity)
    decompress(report.blob)
    ratio = report.bytes / report.baseline_bytes
    fidelity = "unknown" if report.fidelity is None else f"{report.fidelity:.2f} dB"
    print(f"{args.model.name}: {report.bytes:,} bytes, 16 bit + Brotli {report.baseline_bytes:,} bytes")
    print(f"ratio: {ratio:.3f} at {report.criterion}; fidelity {fidelity}, {report.seconds:.0f} s")
    results = {
        "model": args.model.name,
        "weights": report.weights,
        "bytes": report.bytes,
        "baseline_bytes": report.baseline_bytes,
        "ratio": ratio,
        "bits_per_weight": 8 * report.bytes / report.weights,
        "criterion": report.criterion,
        "fidelity": report.fidelity,
    }
    write_report(args.json, "network", results)


if __name__ == "__main__":
    main()
