"""Bytes of the same trained networks: `balanced`, sparse codes only, and `paper`, against 16-bit min-max + Brotli.

    python benchmarks/size.py --data DIR [--pictures kodim03 kodim12 kodim15 kodim23] [--json FILE]

Fits a SIREN 3x64 to each picture as the preset `balanced` does (kept in --fits, so that a second run only codes), then
writes each network in several ways. Every size is that of a file; every PSNR is of what that file decodes to. Wanted:
balanced at most 0.60 of the baseline with at most 0.1 dB lost; paper 0.80 to 0.90 (1.7 of 2.0 bpp in its Figure 3).
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from sinr_codec.bench.fits import Fits, content_key
from sinr_codec.bench.provenance import write_report
from sinr_codec.coding.tensor import Sparse
from sinr_codec.encoding.files import file_of
from sinr_codec.evaluators import tile_of
from sinr_codec.methods import METHODS, Task
from sinr_codec.planning.paper import baseline_bytes
from sinr_codec.presets import PRESETS
from sinr_codec.signals.base import Fields
from sinr_codec.signals.image import KIND, ImageSignal

CODED = {"balanced": "rounded", "sparse": "sinr-planned", "paper": "sinr", "hidden": "sinr-hidden"}
"""Methods by the names that results have: no sparse code is what the planner chooses on such networks."""


def measure(picture: Path, fits: Fits, steps: int | None, max_drop: float) -> dict[str, float | str]:
    signal = ImageSignal.load(picture)
    recipe, preset = KIND.recipe.under(PRESETS["paper"]), PRESETS["balanced"]
    field = recipe.network(signal.spec, 64, 3)
    settings = recipe.settings(preset) | ({} if steps is None else {"steps": steps})
    fitted = fits.get(content_key(np.asarray(signal.array)), signal.parts[0], field, settings)
    task = Task(field, {}, signal.parts[0], max_drop=max_drop).with_params(fitted.params)
    uncoded = Fields([field.decoder(dict(task.params))], tile_of(field))
    psnr, baseline = signal.quality(partial(signal.spec.render, uncoded)).db, baseline_bytes(task.params)
    row: dict[str, float | str] = {"picture": picture.stem, "fit_psnr": psnr, "baseline_bytes": baseline}
    for name, method in CODED.items():
        plan = METHODS[method].code(task).plan
        file, quality = file_of(signal, field, [plan])
        row |= {f"{name}_bytes": len(file), f"{name}_ratio": len(file) / baseline, f"{name}_drop": psnr - quality.db}
        if name == "balanced":
            row["balanced_sparse_tensors"] = sum(isinstance(coding, Sparse) for coding in plan.codings.values())
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Kodak pictures")
    parser.add_argument("--pictures", nargs="+", default=["kodim03", "kodim12", "kodim15", "kodim23"])
    parser.add_argument("--fits", type=Path, default=Path(".sinr-cache/fits"))
    parser.add_argument("--steps", type=int, help="of every fit; by default those of the preset")
    parser.add_argument("--max-drop", type=float, default=0.1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for name in args.pictures:
        row = measure(args.data / f"{name}.png", Fits(args.fits), args.steps, args.max_drop)
        rows.append(row)
        print(
            f"{name}: fit {row['fit_psnr']:.2f} dB, 16 bit + Brotli {row['baseline_bytes']:,} bytes; "
            + "; ".join(f"{each} {row[f'{each}_ratio']:.3f} at -{row[f'{each}_drop']:.2f} dB" for each in CODED),
            flush=True,
        )
    ratios = {key: [float(row[key]) for row in rows] for key in ("balanced_ratio", "paper_ratio")}
    print("largest ratio, balanced: {:.3f}".format(max(ratios["balanced_ratio"])))
    print("ratios, paper: {:.3f} to {:.3f}".format(min(ratios["paper_ratio"]), max(ratios["paper_ratio"])))
    write_report(args.json, "size", {"max_drop": args.max_drop, "rows": rows})


if __name__ == "__main__":
    main()
