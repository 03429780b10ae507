"""Which layer the loss of SINR comes from, and whether that depends on how the network was trained.

    python benchmarks/trainings.py --data DIR [--picture kodim03] [--json FILE]

Networks of the experiment C1, and a 3x64 trained in other ways, COIN's among them (Adam at a constant 2e-4; COIN takes
50,000 full pictures, which takes days here). For each: what coding all matrices as published costs, all but the first
and the last, and every matrix by itself.
"""

import argparse
from pathlib import Path
from typing import Any

from sinr_codec.bench.experiments import EXPERIMENTS, Configuration, items_of
from sinr_codec.bench.fits import Fits
from sinr_codec.bench.provenance import write_report
from sinr_codec.bench.runs import Settings, Unit, load_item, network_of
from sinr_codec.methods import METHODS
from sinr_codec.quality import decibels

TRAININGS: dict[str, dict[str, Any]] = {
    "SOAP, 2,000 steps": {},
    "Adam 2e-3, cosine, 4,000 steps": {"optimizer": "adam", "lr": 2e-3, "steps": 4000},
    "Adam 2e-4, constant, 4,000 steps": {"optimizer": "adam", "lr": 2e-4, "steps": 4000, "schedule": "constant"},
    "Adam 2e-4, constant, 12,000 steps": {"optimizer": "adam", "lr": 2e-4, "steps": 12_000, "schedule": "constant"},
}
SAMPLES = 1 << 18


def measure(unit: Unit, settings: Settings, fits: Fits, training: str) -> dict[str, Any]:
    loaded = load_item(unit.item, settings)
    task, fit = network_of(loaded, unit, settings, METHODS["sinr"].training)
    task = task.with_params(fits.get(loaded.key, task.part, task.trainable, fit | TRAININGS[training]).params)
    error = task.error(SAMPLES)
    fitted = decibels(error(task.params))
    coded = {name: METHODS[name].code(task).plan.params for name in ("sinr", "sinr-hidden")}
    losses = {name: fitted - decibels(error(params)) for name, params in coded.items()}
    for name, w in coded["sinr"].items():
        if w.ndim == 2:
            losses[name] = fitted - decibels(error({**task.params, name: w}))
    assert unit.configuration is not None
    return {
        "network": unit.configuration.name,
        "training": training,
        "fit_db": round(fitted, 3),
        "loss": {name: round(loss, 4) for name, loss in losses.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the Kodak pictures")
    parser.add_argument("--picture", default="kodim03")
    parser.add_argument("--fits", type=Path, default=Path(".sinr-cache/fits"))
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    settings, fits = Settings(args.data, args.fits), Fits(args.fits)
    item = next(item for item in items_of(EXPERIMENTS["c1"], args.data, None) if item.name == args.picture)
    rows = []
    for network, training in (
        *((configuration, "SOAP, 2,000 steps") for configuration in EXPERIMENTS["c1"].configurations),
        *((Configuration(3, 64), training) for training in list(TRAININGS)[1:]),
    ):
        row = measure(Unit(EXPERIMENTS["c1"], item, network, ()), settings, fits, training)
        rows.append(row)
        losses = ", ".join(f"{name} {loss:.3f}" for name, loss in row["loss"].items())
        print(f"{row['network']} {training}: {row['fit_db']:.2f} dB; lost: {losses}", flush=True)
    write_report(args.json, "trainings", {"picture": args.picture, "rows": rows})


if __name__ == "__main__":
    main()
