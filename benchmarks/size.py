"""Bytes of the same trained networks: `balanced`, sparse codes only, and `paper`, against 16-bit min-max + Brotli.

    python benchmarks/size.py --data DIR [--pictures kodim03 kodim12 kodim15 kodim23] [--json FILE]

Fits a SIREN 3x64 to each picture (kept in --fits, so that a second run only codes), then writes each network in three
ways. Every size is that of a file; every PSNR is of what that file decodes to. Wanted: balanced at most 0.60 of the
baseline with at most 0.1 dB lost; paper 0.80 to 0.90 (Figure 3 of the paper: 1.7 of 2.0 bpp).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from sinr_codec.bench.provenance import write_report
from sinr_codec.codec import decode
from sinr_codec.coding.plan import Plan, baseline_bytes, plan, plan_paper
from sinr_codec.coding.tensor import Sparse
from sinr_codec.container import FIELD, Header, write
from sinr_codec.fields import MLP
from sinr_codec.fit import FitConfig, fit
from sinr_codec.presets import ACTIVATION, PRESETS
from sinr_codec.signals.image import ImageSignal

FIELD_64 = MLP(2, 3, 64, 3, ACTIVATION)


def trained(picture: Path, signal: ImageSignal, fits: Path, steps: int) -> dict[str, np.ndarray]:
    """Fit, or read a fit of the same steps from before."""
    path = fits / f"{picture.stem}-3x64-{steps}.safetensors"
    if not path.exists():
        fits.mkdir(parents=True, exist_ok=True)
        result = fit(FIELD_64, signal, FitConfig(steps=steps))
        save_file({name: np.ascontiguousarray(w) for name, w in result.params.items()}, path)
    params = load_file(path)
    return {name: params[name] for name in FIELD_64.shapes()}


def file_of(signal: ImageSignal, coded: Plan) -> bytes:
    return write(Header(FIELD, FIELD_64.to_header(), signal.to_header()), [b"".join(coded.records.values())])


def measure(picture: Path, fits: Path, steps: int, max_drop: float) -> dict[str, float | str]:
    signal = ImageSignal.load(picture)
    params = trained(picture, signal, fits, steps)

    def psnr(candidate: dict[str, np.ndarray]) -> float:
        return signal.quality(signal.spec.render(FIELD_64.decoder(candidate)))

    fitted, baseline = psnr(params), baseline_bytes(params)

    def planned(**options: Any) -> Plan:
        limit = 10 ** ((max_drop - fitted) / 10)
        return plan(params, lambda candidate: 10 ** (-psnr(candidate) / 10), limit, **options)

    coded = {
        "balanced": planned(),
        "sparse": planned(dictionaries=(256, 1024, 8192, 65_536), sparse_only=True),
        "paper": plan_paper(params),
    }
    row: dict[str, float | str] = {"picture": picture.stem, "fit_psnr": fitted, "baseline_bytes": baseline}
    for name, result in coded.items():
        file = file_of(signal, result)
        row |= {
            f"{name}_bytes": len(file),
            f"{name}_ratio": len(file) / baseline,
            f"{name}_drop": fitted - signal.quality(decode(file)),
        }
    chosen = sum(isinstance(coding, Sparse) for coding in coded["balanced"].codings.values())
    return row | {"balanced_sparse_tensors": chosen}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Kodak pictures")
    parser.add_argument("--pictures", nargs="+", default=["kodim03", "kodim12", "kodim15", "kodim23"])
    parser.add_argument("--fits", type=Path, default=Path(".sinr-cache/fits"))
    parser.add_argument("--steps", type=int, default=PRESETS["balanced"].fit["steps"])
    parser.add_argument("--max-drop", type=float, default=0.1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for name in args.pictures:
        row = measure(args.data / f"{name}.png", args.fits, args.steps, args.max_drop)
        rows.append(row)
        print(
            f"{name}: fit {row['fit_psnr']:.2f} dB, 16 bit + Brotli {row['baseline_bytes']:,} bytes; "
            f"balanced {row['balanced_ratio']:.3f} at -{row['balanced_drop']:.2f} dB; "
            f"sparse codes only {row['sparse_ratio']:.3f} at -{row['sparse_drop']:.2f} dB; "
            f"paper {row['paper_ratio']:.3f} at -{row['paper_drop']:.2f} dB",
            flush=True,
        )
    ratios = {key: [float(row[key]) for row in rows] for key in ("balanced_ratio", "paper_ratio")}
    print("largest ratio, balanced: {:.3f}".format(max(ratios["balanced_ratio"])))
    print("ratios, paper: {:.3f} to {:.3f}".format(min(ratios["paper_ratio"]), max(ratios["paper_ratio"])))
    write_report(args.json, "size", {"steps": args.steps, "max_drop": args.max_drop, "rows": rows})


if __name__ == "__main__":
    main()
