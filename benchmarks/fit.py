"""Seconds that `fit` needs to reach the quality of WIRE's and of COIN's recipes after two minutes; prints the ratios.

    python benchmarks/fit.py --image kodim03.png [--json FILE]

The references are plain eager torch on the same network with SIREN's initialisation. WIRE's: Adam at
5e-3 min(1, batch/HW), decayed to a tenth, batches of 256^2 pixels (github.com/vishwa91/wire, wire_image_denoise.py).
COIN's: Adam at 2e-4 on all pixels at once, the best network so far (github.com/EmilienDupont/coin, main.py). Ours runs
under a budget in seconds, in a fresh process each time: budgets are tried from small to large until one reaches both
references, at the rate and with the sampling that `encode` has. All are measured over all pixels, on the same
threads. Target: a tenth.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from sinr_codec.bench.provenance import machine, write_report
from sinr_codec.fields import MLP, Sine
from sinr_codec.fit import Evaluator, FitConfig, fit
from sinr_codec.fit.optim import make_optimizer
from sinr_codec.signals.image import ImageSignal

#: Shares of the reference's time that are tried.
SHARES = (0.02, 0.03, 0.04, 0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4, 0.6, 1.0)
TARGET = 0.1


def psnr(mse: float) -> float:
    """PSNR in dB of values in [-1, 1]."""
    return 10 * math.log10(4 / mse)


def wire_recipe(field: MLP, signal: ImageSignal, seconds: float) -> tuple[float, int]:
    """Loss and steps of the reference after so many seconds; the evaluation is not counted."""
    coords, values = (torch.from_numpy(a) for a in signal.batch(np.arange(len(signal))))
    start = field.init(np.random.default_rng(0))
    leaves = {name: torch.from_numpy(value).requires_grad_() for name, value in start.items()}
    batch = 256 * 256
    peak = 5e-3 * min(1.0, batch / len(signal))
    optimizer = torch.optim.Adam(leaves.values(), lr=peak)
    generator = torch.Generator().manual_seed(0)
    steps, began = 0, time.perf_counter()
    while (share := (time.perf_counter() - began) / seconds) < 1:
        for index in torch.randperm(len(signal), generator=generator).split(batch):
            optimizer.param_groups[0]["lr"] = peak * 0.1**share
            loss = ((siren(field, leaves, coords[index]) - values[index]) ** 2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
            if time.perf_counter() - began >= seconds:
                break
    return Evaluator(field, signal)({name: leaf.detach() for name, leaf in leaves.items()}), steps


def coin_recipe(field: MLP, signal: ImageSignal, seconds: float) -> tuple[float, int]:
    """As `wire_recipe`; the loss of a step, which is that of all pixels, tells which network is the best."""
    coords, values = (torch.from_numpy(a) for a in signal.batch(np.arange(len(signal))))
    start = field.init(np.random.default_rng(0))
    leaves = {name: torch.from_numpy(value).requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.Adam(leaves.values(), lr=2e-4)
    best, steps, began = math.inf, 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        loss = ((siren(field, leaves, coords) - values) ** 2).mean()
        best = min(best, float(loss.detach()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
    return best, steps


RECIPES = {"WIRE": wire_recipe, "COIN": coin_recipe}


def siren(field: MLP, leaves: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The network as WIRE's code writes it."""
    for i in range(field.layers - 1):
        z = torch.nn.functional.linear(x, leaves[f"layers.{i}.weight"], leaves[f"layers.{i}.bias"])
        x = torch.sin(field.activation.gain(i == 0) * z)
    last = field.layers - 1
    return torch.nn.functional.linear(x, leaves[f"layers.{last}.weight"], leaves[f"layers.{last}.bias"])


def ours(arguments: argparse.Namespace, seconds: float, compile: str, cache: str | None = None) -> dict[str, float]:
    """A fit in a fresh process, so that what is cached lies on the disk and nowhere else."""
    command = [sys.executable, __file__, "--image", arguments.image, "--width", str(arguments.width)]
    command += ["--layers", str(arguments.layers), "--worker", str(seconds), "--compile", compile]
    environment = os.environ | ({"TORCHINDUCTOR_CACHE_DIR": cache} if cache else {})
    output = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, float] = json.loads(output.strip().splitlines()[-1])
    return result


def work(arguments: argparse.Namespace, field: MLP, signal: ImageSignal) -> None:
    """One fit of ours, its result as JSON."""
    make_optimizer(
        "soap", {"x": torch.zeros(1, requires_grad=True)}, 1.0
    )  # imports, which the reference is spared, too
    choice = {"auto": "auto", "yes": True, "no": False}[arguments.compile]
    began = time.perf_counter()
    result = fit(field, signal, FitConfig(seconds=arguments.worker, batch=2048, sampling="error", compile=choice))
    seconds = time.perf_counter() - began
    report = {"psnr": psnr(result.loss), "seconds": seconds, "steps": result.steps, "compiled": result.compiled}
    print(json.dumps(report))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--image", required=True, help="a picture, 768x512 in the published figure")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--layers", type=int, default=3, help="hidden layers")
    parser.add_argument("--seconds", type=float, default=120.0, help="time of the references")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--worker", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--compile", default="auto", choices=("auto", "yes", "no"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    signal = ImageSignal.load(arguments.image)
    field = MLP(2, signal.out_features, arguments.width, arguments.layers, Sine(30.0))
    if arguments.worker is not None:
        work(arguments, field, signal)
        return

    print(f"machine: {machine()}, {torch.get_num_threads()} threads")
    references = {}
    for name, recipe in RECIPES.items():
        loss, steps = recipe(field, signal, arguments.seconds)
        references[name] = {"psnr": psnr(loss), "seconds": arguments.seconds, "steps": steps}
        print(f"{name}: {psnr(loss):.2f} dB after {arguments.seconds:.0f} s, {steps} steps", flush=True)
    reference = max(row["psnr"] for row in references.values())

    with tempfile.TemporaryDirectory() as cache:
        # the least budget that is spent on the compilation alone is the cold time
        cold = ours(arguments, 1.0, "yes", cache)["seconds"]
        warm = ours(arguments, 1.0, "yes", cache)["seconds"]
        print(f"compilation: {cold:.1f} s cold, {warm:.1f} s warm", flush=True)
        tried = []
        for share in SHARES:
            tried.append(ours(arguments, share * arguments.seconds, "auto", cache))
            last = tried[-1]
            how = "compiled" if last["compiled"] else "eager"
            print(
                f"ours: {last['psnr']:.2f} dB after {last['seconds']:.1f} s, {last['steps']} steps, {how}", flush=True
            )
            if last["psnr"] >= reference:
                break
    ratios = {}
    for name, row in references.items():
        enough = next((mine["seconds"] for mine in tried if mine["psnr"] >= row["psnr"]), math.inf)
        ratios[name] = enough / arguments.seconds
        print(f"ratio: {ratios[name]:.3f} of the time of {name}'s recipe (target: at most {TARGET})")
    results = {
        "image": Path(arguments.image).name,
        "threads": torch.get_num_threads(),
        "references": references,
        "compilation": {"cold": cold, "warm": warm},
        "ours": tried,
        "ratios": {name: ratio if math.isfinite(ratio) else None for name, ratio in ratios.items()},
        "target": TARGET,
    }
    write_report(arguments.json, "fit", results)


if __name__ == "__main__":
    main()
