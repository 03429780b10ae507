"""Training of pyramids: latents and networks together, for rate and distortion.

The loss is the mean squared error plus a weight times the bits a sample, with soft rounding and noise in place of the
rounding of latents: COOL-CHIC (Ladune et al. 2023), C3 (Kim et al. 2024, section 3). At the end, latents are rounded,
and the networks are trained on under the rounding of their own parameters.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sinr_codec.coding.weights import bytes_of
from sinr_codec.devices import is_cpu
from sinr_codec.errors import InputError, quoted
from sinr_codec.fields.base import Trainable
from sinr_codec.fields.pyramid import CONTEXT, Pyramid, latents_name
from sinr_codec.fields.pyramid_section import PyramidSection
from sinr_codec.fit.code_length import CodeLength, soft_rounded
from sinr_codec.fit.config import FitConfig, FitResult
from sinr_codec.fit.optim import Stepper
from sinr_codec.fit.run import Run
from sinr_codec.fit.samples import grid_values
from sinr_codec.fit.synthesis import Synthesis
from sinr_codec.fit.threads import threads_for
from sinr_codec.fit.tiles import tiles_of
from sinr_codec.progress import Listener
from sinr_codec.signals.base import Part, SampledPart

#: Most positions of level 1 in a tile, and least number of tiles. Networks have a step on each tile and latents one a
#: pass: in smooth and small pictures, networks are what takes long. With 3 tiles, 600 passes reach more than 780
#: without.
TILE: Final = 1 << 15
TILES: Final = 3
#: Latents are this multiple of the numbers that Adam trains: they move by it times the learning rate.
GAIN: Final = 12.0
#: Learning rates of Adam for latents and of SOAP for networks, and for networks that begin from trained ones; the share
#: to which a cosine decay leads; steps of the warm-up.
LATENT_RATE: Final = 1e-2
NETWORK_RATE: Final = 1e-2
TRAINED_RATE: Final = 5e-3
LEAST_RATE: Final = 0.03
WARMUP_STEPS: Final = 20
#: Temperature of the soft rounding and width of the noise, at the beginning and when latents are rounded.
TEMPERATURES: Final = 0.3, 0.1
NOISES: Final = 1.0, 0.4
#: Share of the budget from which on networks are trained under the rounding of their parameters and for their own bits.
#: On whole pictures at low rates this saves 3 to 9 % of the cost; on crops at high rates it loses up to 5 %.
QUANTISE_AT: Final = 0.5
#: Share of the budget at which latents are rounded, and the learning rate of the networks from there on.
ROUND_AT: Final = 0.88
ROUNDED_RATE: Final = 1e-3
#: The weight that suits a rate of `USUAL_BITS` bits a sample or a loss of `USUAL_LOSS`, and the exponents of weights
#: against both.
USUAL_WEIGHT: Final = 4e-3
USUAL_BITS: Final = 0.22
USUAL_LOSS: Final = 8.2e-4
BITS_EXPONENT: Final = -1.77
LOSS_EXPONENT: Final = 1.65
#: Without a target, the weight is one that usually leads to a loss of this share of the variance at most, within the
#: precision of 8 bits.
MOST_LOSS: Final = 0.1
LEAST_LOSS: Final = 1e-5
#: Samples below which the weight is smaller in proportion, since networks are most of the bits.
SMALL: Final = 1 << 12
#: Where there is a target: steps between measurements of rounded latents, share of the budget at which they begin, and
#: the exponent of the ratio to the target in the update of the weight. Until latents are rounded, rate and loss fall by
#: `FALLS` of their final values, with the third power of what is left.
LOOK: Final = 20
LOOK_FROM: Final = 0.1
FOLLOW: Final = 0.5
FALLS: Final = {"bits": 0.7, "loss": 0.4}
#: What a target of bits leaves unused at first, so that the rounding of networks fits in.
SPARE: Final = 0.006
#: Further attempts at a target; each has a share of the steps, at least some, and begins at a share of the schedule.
ATTEMPTS: Final = 6
ATTEMPT_SHARE: Final = 0.15
AGAIN_FROM: Final = 0.6
LEAST_AGAIN: Final = 120
#: Bisections for how many latents are rounded down where no attempt meets a number of bits, and the most of it.
SHY_STEPS: Final = 8
MOST_SHY: Final = 2.0
#: A file is this far below a target of bits at most, and its quality in dB as far above the requested one.
NEAR_BITS: Final = 0.02
NEAR_DB: Final = 0.05
#: Least and most weight relative to the first one, and bits of a parameter before there are step sizes.
MOST_CHANGE: Final = 300.0
FIRST_BITS: Final = 4.0
MOST_EXPONENT: Final = 12
#: Exponents of the step sizes of networks that are tried first, in units of their fixed-point numbers.
FIRST_EXPONENTS: Final = {"context": 3, "upsampling": 6, "synthesis": 5, "residuals": 5}


def fit_pyramid(
    field: Trainable,
    signal: Part,
    config: FitConfig,
    params: Mapping[str, NDArray[Any]] | None = None,
    progress: Listener | None = None,
) -> FitResult:
    """Fit a `Pyramid` to a signal for a weight of its rate, a rate or a quality; arguments and errors as in `fit`.

    The loss is ``MSE + weight * bits``, where the mean squared error is that of values in [0, 1] and bits are those of
    a sample. With `FitConfig.bits` or `FitConfig.quality`, the weight follows the rate or the quality.

    Returns
    -------
    FitResult
        Parameters as integers, which the file holds losslessly.
    """
    if not is_cpu(config.device):
        raise InputError(f"device: pyramids are fitted on the CPU, got {quoted(config.device)}")
    training = _Training(cast(Pyramid, field), signal, config, params, progress)
    with threads_for(cast(Pyramid, field).work * len(signal), others=1), training.run:
        training.run.complete(training.train)
        result = training.result()
    training.run.finish(config.keep_checkpoint)
    return result


class _Training:
    """Latents, networks, and the state of their training."""

    def __init__(
        self,
        field: Pyramid,
        signal: Part,
        config: FitConfig,
        params: Mapping[str, NDArray[Any]] | None,
        listener: Listener | None,
    ) -> None:
        self.field, self.signal, self.config = field, signal, config
        self.rng = np.random.default_rng(config.seed)
        self.values = grid_values(signal, field.sizes)
        self.synthesis = Synthesis(field)
        self.tiles = [Synthesis(field, tile) for tile in tiles_of(field, min(TILE, math.prod(field.size(1)) / TILES))]
        self.targets = self.synthesis.targets(self.values)
        self.code_length = CodeLength(field)
        self.sizes = [field.latents[latents_name(level)] for level in range(1, field.levels + 1)]
        self.counts = [math.prod(shape) for shape in self.sizes]
        self.latents = torch.zeros(sum(self.counts), requires_grad=True)
        #: Rounded latents, once they are.
        self.rounded: NDArray[np.float32] | None = None
        self.fractions = {name: 2.0 ** field.fraction(name) for name in field.networks}
        #: What the networks differ from in the file.
        self.prior = {name: np.zeros(shape) for name, shape in field.networks.items()}
        if params is not None:
            self.prior = {name: params[name] / fraction for name, fraction in self.fractions.items()}
            first = {name: torch.tensor(w).float() for name, w in self.prior.items()}
        else:
            first = first_networks(field, self.rng, self.targets.mean(tuple(range(2, self.targets.ndim)))[0])
        self.networks = {name: w.requires_grad_() for name, w in first.items()}
        #: Step sizes of the networks' parameters, once they are rounded, as exponents of the fixed-point units.
        self.exponents: dict[str, int] = {}
        rate = NETWORK_RATE if params is None else TRAINED_RATE
        self.adam = Stepper([torch.optim.Adam([self.latents], lr=LATENT_RATE, betas=(0.9, 0.99), fused=True)])
        self.soap = self._soap(rate)
        self.weight = self._first_weight()
        self.recent = math.inf
        self.run = Run(config, self, listener)
        self.run.resume()

    def _first_weight(self) -> float:
        config = self.config
        if config.bits is not None:
            return float(USUAL_WEIGHT * (config.bits / USUAL_BITS) ** BITS_EXPONENT)
        if config.quality is not None:
            return self._weight_at(self._loss_at(config.quality))
        weight = USUAL_WEIGHT if config.weight is None else config.weight
        # A picture of hardly any contrast would be its mean.
        most = float(self.values.var(tuple(range(self.values.ndim - 1))).mean()) / 4 * MOST_LOSS
        return min(weight, self._weight_at(max(most, LEAST_LOSS))) * min(1.0, len(self.signal) / SMALL)

    def _weight_at(self, loss: float) -> float:
        """The weight that usually leads to a loss."""
        return float(USUAL_WEIGHT * (loss / USUAL_LOSS) ** LOSS_EXPONENT)

    def _soap(self, rate: float) -> Stepper:
        from pytorch_optimizer import SOAP

        tensors = list(self.networks.values())
        return Stepper([SOAP(tensors, lr=rate, betas=(0.95, 0.95), weight_decay=0.0)])

    def _loss_at(self, db: float) -> float:
        """The mean squared error of values in [0, 1] at a quality."""
        return float(10 ** (-(db - self.signal.decibels(4.0)) / 10))

    # -- training

    def train(self) -> None:
        """All steps of the run."""
        looked = 0
        for share in self.run:
            if share >= QUANTISE_AT and not self.exponents:
                self._choose_steps()
            if share >= ROUND_AT and self.rounded is None:
                self._round()
            if self.rounded is None:
                self._both(share / ROUND_AT)
                if share > LOOK_FROM and self.run.step >= looked + LOOK:
                    looked = self.run.step
                    self._follow((1 - share / ROUND_AT) ** 3)
            else:
                self._networks_alone((share - ROUND_AT) / (1 - ROUND_AT))
            self.run.advance()
            if self.run.step % 10 == 0:
                self.run.report(4 * self.recent)

    def _both(self, share: float) -> None:
        """A step of latents and networks, at a share of the steps before latents are rounded."""
        temperature, noise = (a + (b - a) * share for a, b in (TEMPERATURES, NOISES))
        factor = LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * share)) / 2
        factor *= min(1.0, (self.run.step + 1) / WARMUP_STEPS)
        self._step(factor, temperature, noise)

    def _step(self, factor: float, temperature: float, noise: float) -> None:
        uniform = self.rng.random(len(self.latents), np.float32)
        soft, slopes = soft_rounded(self.latents.detach().numpy(), uniform, GAIN, temperature, noise)
        self.latents.grad = torch.from_numpy(self._pass(soft, factor) * slopes)
        self.adam.step(factor)

    def _networks_alone(self, share: float) -> None:
        """A step of the networks under the rounding of their parameters."""
        assert self.rounded is not None
        rate = self.soap.optimizers[0].defaults["lr"]
        self._pass(self.rounded, ROUNDED_RATE / rate * (1 + math.cos(math.pi * share)) / 2)

    def _pass(self, latents: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
        """A step of the networks on each tile, in random order; the gradient of the loss by latents."""
        planes = self._split(latents)
        self.code_length.fill(planes)
        scale, by_latents = self.weight / len(self.signal), [np.zeros_like(plane) for plane in planes]
        self.recent = 0.0
        for number in self.rng.permutation(len(self.tiles)).tolist():
            self.recent += self._tile(self.tiles[number], planes, by_latents, scale)
            self.soap.step(factor)
        total = [mine + scale * rates for mine, rates in zip(by_latents, self.code_length.gradients())]
        return np.concatenate([each.ravel() for each in total])

    def _tile(
        self,
        synthesis: Synthesis,
        planes: list[NDArray[np.float32]],
        by_latents: list[NDArray[np.float32]],
        scale: float,
    ) -> float:
        """Set the gradients of networks, add those of the distortion by free latents, and return the tile's distortion.

        Once networks have step sizes, their gradients are those at the rounded parameters, and those of their own bits.
        Rate and distortion are computed side by side.
        """
        networks, tile = self._current(), synthesis.tile
        context = {n: networks[n].detach().numpy() for n in CONTEXT}
        rate = _POOL.submit(self.code_length.add, context, tile.parts)
        windows = [(slice(None), *(slice(a, b) for a, b in window)) for window in tile.around]
        free = self.rounded is None
        leaves = [torch.from_numpy(plane[at]).requires_grad_(free) for plane, at in zip(planes, windows)]
        part = (slice(None), slice(None), *(slice(a, b) for a, b in tile.parts[0]))
        loss = ((synthesis(leaves, networks) - self.targets[part]) ** 2).sum() / (4 * self.targets.numel())
        loss.backward()
        if free:
            for gradient, at, leaf in zip(by_latents, windows, leaves):
                gradient[at] += cast(Tensor, leaf.grad).numpy()
        for name, by_bits in rate.result()[1].items():
            networks[name].grad = scale * torch.from_numpy(by_bits)
        if self.exponents:
            for name, network in networks.items():
                difference = self.networks[name].detach() - torch.from_numpy(self.prior[name]).float()
                mean = difference.abs().mean() + 2 ** self.exponents[name] / self.fractions[name] / 4
                own = scale * math.log2(math.e) / len(self.tiles) / mean * difference.sign()
                self.networks[name].grad = cast(Tensor, network.grad) + own
        return float(loss.detach())

    def _split(self, latents: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Latents of each level, level 1 first."""
        ends = np.cumsum(self.counts)[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(latents, ends), self.sizes)]

    # -- rounding

    def _round(self) -> None:
        """Round the latents, and choose step sizes for the networks."""
        self.rounded = np.rint(GAIN * self.latents.detach().numpy())
        self._choose_steps()

    def _choose_steps(self) -> None:
        if not self.exponents:
            self.exponents = {name: FIRST_EXPONENTS[name.partition(".")[0]] for name in self.networks}
        for name in self.networks:
            self._choose_step(name)

    def _current(self) -> dict[str, Tensor]:
        """The networks, or leaves with their rounded parameters once they have step sizes."""
        if not self.exponents:
            return self.networks
        with torch.no_grad():
            rounded = {name: self._quantised(name, w) for name, w in self.networks.items()}
        return {name: w.requires_grad_() for name, w in rounded.items()}

    def _choose_step(self, name: str) -> None:
        """The step size of a tensor with the least cost: loss, bits of latents, and bits of the tensor itself."""

        def cost(exponent: int) -> float:
            if exponent not in known:
                with torch.no_grad():
                    exponents = self.exponents | {name: exponent}
                    networks = {each: self._quantised(each, w, exponents[each]) for each, w in self.networks.items()}
                bits = self._bits_of(name, exponent)
                if name in CONTEXT:
                    bits += self._bits(networks)
                    known[exponent] = self.weight / len(self.signal) * bits
                else:
                    known[exponent] = self._loss(networks) + self.weight / len(self.signal) * bits
            return known[exponent]

        known: dict[int, float] = {}
        best = self.exponents[name]
        for way in (1, -1):
            while 0 <= best + way <= MOST_EXPONENT and cost(best + way) < cost(best):
                best += way
        self.exponents[name] = best

    def _quantised(self, name: str, weights: Tensor, exponent: int | None = None) -> Tensor:
        """Real numbers rounded to their steps."""
        step = 2 ** (self.exponents[name] if exponent is None else exponent) / self.fractions[name]
        prior = torch.from_numpy(self.prior[name]).float()
        return prior + ((weights - prior) / step).round() * step

    def _bits_of(self, name: str, exponent: int) -> float:
        """Bits of a tensor of a network at a step size."""
        return 8 * bytes_of([self._steps(name, exponent) << exponent])

    def _steps(self, name: str, exponent: int) -> NDArray[np.int64]:
        """The difference of a tensor from the prior, in steps."""
        difference = self.networks[name].detach().numpy() - self.prior[name]
        return np.rint(difference * (self.fractions[name] / 2**exponent)).astype(np.int64)

    def _bits(self, networks: Mapping[str, Tensor] | None = None) -> float:
        """Bits of the rounded latents."""
        networks = networks or self._current()
        latents = np.rint(GAIN * self.latents.detach().numpy()) if self.rounded is None else self.rounded
        return sum(self.code_length(self._split(latents), {n: networks[n].detach().numpy() for n in CONTEXT})[0])

    def _loss(self, networks: Mapping[str, Tensor] | None = None) -> float:
        """Mean squared error of values in [0, 1] from the rounded latents."""
        latents = np.rint(GAIN * self.latents.detach().numpy()) if self.rounded is None else self.rounded
        with torch.no_grad():
            planes = [torch.from_numpy(plane) for plane in self._split(latents)]
            found = self.synthesis(planes, networks or self._current())
            return float(((found - self.targets) ** 2).mean()) / 4

    def integers(self) -> dict[str, NDArray[Any]]:
        """The parameters as the file holds them."""
        assert self.rounded is not None
        dtypes, found = self.field.dtypes(), {}
        for name, exponent in self.exponents.items():
            prior = np.rint(self.prior[name] * self.fractions[name]).astype(np.int64)
            found[name] = (prior + (self._steps(name, exponent) << exponent)).astype(dtypes[name])
        for level, plane in enumerate(self._split(self.rounded), 1):
            found[latents_name(level)] = plane.astype(dtypes[latents_name(level)])
        return {name: found[name] for name in self.field.shapes()}

    # -- targets

    def _follow(self, left: float) -> None:
        """Update the weight by rate or quality of rounded latents, at a share `left` of what training has to gain."""
        config = self.config
        if config.bits is not None:
            networks = FIRST_BITS * self.field.network_params
            if self.exponents:
                networks = 8 * bytes_of([self._steps(name, e) << e for name, e in self.exponents.items()])
            aim = (1 - SPARE) * config.bits * len(self.signal)
            ratio = (networks + self._bits()) / (aim * (1 + FALLS["bits"] * left))
        elif config.quality is not None:
            ratio = self._loss_at(config.quality) * (1 + FALLS["loss"] * left) / self._loss()
        else:
            return
        self._change_weight(float(np.clip(ratio, 1 / 3, 3.0) ** FOLLOW))

    def _change_weight(self, factor: float) -> None:
        first = self._first_weight()
        self.weight = min(max(self.weight * factor, first / MOST_CHANGE), first * MOST_CHANGE)

    def _attempt(self) -> None:
        """Train on until rate or quality are within their tolerance; keep the nearest result on the right side.

        Where none is, the nearest one counts; where bits are too many, further latents are rounded down.
        """
        self.best = self.integers()
        if self.config.bits is None and self.config.quality is None:
            return
        exponent = BITS_EXPONENT if self.config.bits is not None else LOSS_EXPONENT
        steps = max(LEAST_AGAIN, int(ATTEMPT_SHARE * self.run.step))
        points: list[tuple[float, float]] = []  # logarithms of the weight and of the excess
        kept: float | None = None
        for number in range(ATTEMPTS + 1):
            params = self.integers()
            excess, near = self._excess(params)
            if kept is None or _rank(excess) < _rank(kept):
                kept, self.best = excess, params
            if 1 - near <= excess <= 1 or number == ATTEMPTS or self.run.interrupted:
                break
            points.append((math.log(self.weight), math.log(excess)))
            self._change_weight(_next_weight(math.log(1 - near / 2), points, exponent) / self.weight)
            self._train_again(steps)
        if self.config.bits is not None and kept is not None and kept > 1:
            self.best = self._within(params)

    def _within(self, params: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Parameters whose latents are rounded down just so often that they meet the bits, where that is possible."""
        free = GAIN * self.latents.detach().numpy()
        low, high, best = 0.0, MOST_SHY, params
        for _ in range(SHY_STEPS):
            shy = (low + high) / 2
            self.rounded = np.sign(free) * np.maximum(np.floor(np.abs(free) + (0.5 - shy)), 0) + 0.0
            found = self.integers()
            if self._excess(found)[0] <= 1:
                high, best = shy, found
            else:
                low = shy
        return best

    def _excess(self, params: Mapping[str, NDArray[Any]]) -> tuple[float, float]:
        """Bits or loss as a share of the target, and how far below 1 they may be."""
        if self.config.bits is not None:
            return section_bits(self.field, params) / (self.config.bits * len(self.signal)), NEAR_BITS
        assert self.config.quality is not None
        return self._exact_loss(params) / self._loss_at(self.config.quality), 1 - 10 ** (-NEAR_DB / 10)

    def _train_again(self, steps: int) -> None:
        """The last part of the schedule once more, in fewer steps: at its end, latents hardly move."""
        rounded, self.rounded = int(ROUND_AT * steps), None
        self._choose_steps()  # for the new weight
        for step in range(rounded):
            self._both(AGAIN_FROM + (1 - AGAIN_FROM) * step / rounded)
            self.run.step += 1
            self.run.report(4 * self.recent)
        self._round()
        for step in range(steps - rounded):
            self._networks_alone(step / (steps - rounded))

    def _exact_loss(self, params: Mapping[str, NDArray[Any]]) -> float:
        """Mean squared error of decoded samples, as a share of the squared peak."""
        decoder = cast(Any, self.field.decoder(params))
        axes = [((2 * np.arange(n) + 1) / n - 1).astype(np.float32) for n in self.field.sizes]
        found = decoder.on_grid(axes).reshape(-1, self.field.out_features)
        if not isinstance(self.signal, SampledPart):
            wanted = self.values.reshape(found.shape)
            return float(np.mean((found - wanted) ** 2)) / 4
        got, wanted = (self.signal.to_samples(v).astype(np.float64) for v in (found, self.values.reshape(found.shape)))
        return float(np.mean((got - wanted) ** 2)) / self.signal.peak**2

    # -- the end, and checkpoints

    def result(self) -> FitResult:
        """The fitted integers; rate or quality are brought to their target before."""
        if self.rounded is None:
            self._round()
        self._attempt()
        loss = 4 * self._exact_loss(self.best)
        return FitResult(self.best, loss, self.run.step, self.run.elapsed, self.run.interrupted, 0, False, False)

    def identity(self) -> str:
        """See `run.Resumable`."""
        c = self.config
        settings = [c.bits, c.quality, c.weight, c.steps, c.seconds, c.seed]
        return json.dumps([self.field.to_header(), settings, zlib.crc32(self.values.tobytes())])

    def state_dict(self) -> dict[str, Any]:
        """See `run.Resumable`."""
        return {
            "state": [self.run.step, self.run.elapsed - self.run.uncounted, self.weight],
            "latents": self.latents,
            "networks": dict(self.networks),
            "rounded": None if self.rounded is None else torch.from_numpy(self.rounded),
            "exponents": dict(self.exponents),
            "optimizers": [self.adam.state_dict(), self.soap.state_dict()],
            "generator": json.dumps(self.rng.bit_generator.state),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `run.Resumable`."""
        self.run.step, self.run.before, self.weight = state["state"]
        with torch.no_grad():
            self.latents.copy_(state["latents"])
            for name, leaf in self.networks.items():
                leaf.copy_(state["networks"][name])
        self.rounded = None if state["rounded"] is None else state["rounded"].numpy()
        self.exponents = dict(state["exponents"])
        for optimizer, saved in zip((self.adam, self.soap), state["optimizers"]):
            optimizer.load_state_dict(saved)
        self.rng.bit_generator.state = json.loads(state["generator"])


def _rank(excess: float) -> tuple[bool, float]:
    """Order of results: those on the right side of a target first, then by their distance from it."""
    return excess > 1, abs(math.log(excess))


def _next_weight(aim: float, points: list[tuple[float, float]], exponent: float) -> float:
    """The weight at which the logarithm of the excess should be `aim`.

    It is on the line through the two points, logarithms of weight and of excess, that are nearest on both sides of the
    aim; or through the last two, within bounds about the usual exponent, where all are on one side.
    """
    above = min((p for p in points if p[1] > aim), key=lambda p: p[1], default=None)
    below = max((p for p in points if p[1] <= aim), key=lambda p: p[1], default=None)
    pair = points[-2:] if above is None or below is None else [above, below]
    weight, excess = min(pair, key=lambda p: abs(p[1] - aim))
    if len(pair) > 1 and pair[0][1] != pair[1][1]:
        measured = (pair[1][0] - pair[0][0]) / (pair[1][1] - pair[0][1])
        exponent *= min(max(measured / exponent, 0.5), 3.0)
    return math.exp(weight + min(max(exponent * (aim - excess), -2.0), 2.0))


def first_networks(field: Pyramid, rng: np.random.Generator, mean: Tensor) -> dict[str, Tensor]:
    """Random networks of the usual size, in real numbers, whose output is the mean (b * phases,)."""
    scales = {"context.0.weight": 0.1, "context.2.weight": 0.1, "synthesis.1.weight": 0.5}
    found = {}
    for name, shape in field.networks.items():
        scale = scales.get(name, 1.0)
        if name != "context.0.weight":
            scale /= math.sqrt(math.prod(shape[1:]))
        zero = name.endswith("bias") or name.startswith("residuals")
        found[name] = torch.tensor(np.zeros(shape) if zero else rng.uniform(-scale, scale, shape)).float()
    found["context.0.weight"][-2:] = 0
    found["synthesis.1.weight"][:, field.width :] = 0
    if "upsampling" in found:
        found["upsampling"] = torch.tensor([-0.0351, 0.2617, 0.8789, -0.1055])
    found["synthesis.1.bias"] = mean.clone()
    return found


def section_bits(field: Pyramid, params: Mapping[str, NDArray[Any]]) -> int:
    """Bits of a pyramid's section in a file."""
    return 8 * sum(map(len, PyramidSection().records(field, params).values()))


_POOL: Final = ThreadPoolExecutor(2, "rate")
