"""What a base buys: COIN++ against fitting from scratch at equal PSNR, and steps of INRIC with and without its start.

    python benchmarks/meta.py --data DIR --coinpp BASE --inric BASE [--pictures kodim13 ...] [--json FILE]

Each picture is encoded from the COIN++ base, and then from scratch into as many bytes with ever more steps until the
file is as good; both times are those of `encode`, reading and checking included. From the INRIC base, networks are
fitted with ever more steps until they are as good as a fit from scratch of the same network and optimiser after
`--steps`. Wanted: at most 1/5 of them. Rates are told three times: of the file, with the picture's share of the base,
and with all of it.
"""

import argparse
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sinr_codec import codec
from sinr_codec.bases import Base, read_base
from sinr_codec.bench.provenance import write_report
from sinr_codec.bench.receiver import rate_with_base
from sinr_codec.fields import Difference
from sinr_codec.fit import FitConfig, fit
from sinr_codec.methods.inric import start_of
from sinr_codec.presets import PRESETS
from sinr_codec.signals.image import ImageSignal

SCRATCH = (25, 50, 100, 200, 400, 800, 1600)
"""Steps that are tried, until one gives the quality."""
SHARES = (1 / 40, 1 / 20, 1 / 10, 1 / 5, 1 / 3, 1 / 2, 1.0)


def fast_or_slow(picture: Path, base: Base, pictures: int) -> dict[str, Any]:
    """Time and rates of COIN++, and the time of a fit from scratch that is as good."""
    report = codec.encode(picture, method="coinpp", base=base)
    pixels = 8 * report.bytes / report.bpp
    row: dict[str, Any] = {"picture": picture.stem, "psnr": report.quality, "seconds": report.seconds}
    row |= {"bytes": report.bytes} | asdict(rate_with_base(report.bytes, base.receiver_bytes, pixels, pictures))
    preset = PRESETS["balanced"]
    settings = dict(preset.fit)
    for steps in SCRATCH:
        preset.fit["steps"] = steps
        began = time.perf_counter()
        scratch = codec.encode(picture, field="mlp", size=report.bytes)
        row |= {"scratch_steps": steps, "scratch_seconds": time.perf_counter() - began}
        row |= {"scratch_psnr": scratch.quality, "scratch_bytes": scratch.bytes}
        if scratch.quality >= report.quality:
            break
    preset.fit.clear()
    preset.fit.update(settings)
    return row


def fewer_steps(picture: Path, base: Base, steps: int, optimizer: Any, lr: float) -> dict[str, Any]:
    """Share of the steps of a fit from scratch after which one from the base is as good."""
    part = ImageSignal.load(picture).parts[0]
    config = {"optimizer": optimizer, "lr": lr, "compile": False}
    wanted = fit(base.field, part, FitConfig(steps=steps, **config)).loss
    start = start_of(base, part, "cpu")
    row: dict[str, Any] = {"picture": picture.stem, "scratch_steps": steps, "scratch_psnr": part.decibels(wanted)}
    field = Difference(base.field, base.params)
    for share in SHARES:
        begun = fit(field, part, FitConfig(steps=max(1, round(share * steps)), **config), start).loss
        row[f"psnr_{round(share * steps)}"] = part.decibels(begun)
        row["share"] = share if begun <= wanted else None
        if begun <= wanted:
            break
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Kodak pictures")
    parser.add_argument("--pictures", nargs="+", default=[f"kodim{i}" for i in range(13, 25)])
    parser.add_argument("--coinpp", type=Path, help="a base of coinpp")
    parser.add_argument("--inric", type=Path, help="a base of inric-meta")
    parser.add_argument("--steps", type=int, default=1000, help="of the fit from scratch that INRIC's is compared with")
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--lr", type=float, default=5e-4, help="5e-4 is INRIC's")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = {"coinpp": [], "inric": []}
    for name in args.pictures:
        picture = args.data / f"{name}.png"
        if args.coinpp is not None:
            rows["coinpp"].append(fast_or_slow(picture, read_base(args.coinpp), len(args.pictures)))
            print(rows["coinpp"][-1], flush=True)
        if args.inric is not None:
            rows["inric"].append(fewer_steps(picture, read_base(args.inric), args.steps, args.optimizer, args.lr))
            print(rows["inric"][-1], flush=True)
    write_report(args.json, "meta", {key: getattr(args, key) for key in ("steps", "optimizer", "lr")} | rows)


if __name__ == "__main__":
    main()
