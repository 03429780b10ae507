"""Hash grids with integer entries, trained for a number of bytes: quantised latents with an entropy penalty.

After SHACIRA (Girish, Shrivastava, Gupta 2023, section 3). Latents are rounded and decoded by an affine map for each
level. The penalty is their entropy under a small factorised model, which is trained with them. Here, the weight of the
penalty follows the size of the latents in a file.
"""

from __future__ import annotations

import json
import math
import warnings
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from array_api_compat import torch as xtorch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sinr_codec.coding.tensor import encode_tensor
from sinr_codec.errors import InputError
from sinr_codec.fields.base import Trainable
from sinr_codec.fields.hashgrid import HashGrid
from sinr_codec.fit import kernels
from sinr_codec.fit.config import FitConfig, FitResult
from sinr_codec.fit.evaluate import Evaluator
from sinr_codec.fit.loop import fit_weights
from sinr_codec.fit.run import Run
from sinr_codec.fit.samples import Batches, Samples, even_subset
from sinr_codec.progress import Listener
from sinr_codec.signals.base import Part

#: Shares of the steps at which uniform noise in place of rounding (Ballé et al. 2017) is replaced by stochastic Gumbel
#: annealing, and annealing by rounding. Annealing alone, as published, ends 0.4 dB lower: it hardly moves latents.
ANNEAL_AT: Final = 0.8
ROUND_AT: Final = 0.95
#: Temperatures of the annealing, at its beginning and end.
TEMPERATURES: Final = 0.3, 0.1
#: Learning rates of Adam for the latents, for their decoder and the network, and for the entropy model.
RATES: Final = 5e-2, 5e-3, 1e-2
#: Steps of the warm-up, and the share of the rates to which a cosine decay leads from the beginning of annealing on.
WARMUP_STEPS: Final = 50
LEAST_RATE: Final = 0.02
#: Initial standard deviation of the decoded latents, in the units of the network's inputs.
SCALE: Final = 0.1
#: Most interpolation weights that are stored as matrices; a signal with more is trained in batches.
MOST_KEPT: Final = 1 << 26
CHUNK: Final = 8192
#: Times per fit at which the rounded latents are coded, so that the weight of the entropy can follow their size; the
#: share of the fit at which this begins; the share of the bytes that is aimed at.
LOOKS: Final = 50
FOLLOW_AT: Final = 0.1
AIM: Final = 0.99
#: Exponents in the update of the weight: of the ratio of the size to the target, and of the ratio to the previous size,
#: which prevents overshooting.
GAIN: Final = 0.3
DAMPING: Final = 0.5
#: The initial weight times bits per sample, and the limits of the weight. Pictures end between a quarter and three
#: times the initial weight.
FIRST_WEIGHT: Final = 1e-2
WEIGHTS: Final = (1e-6, 1e2)
#: Bisections in the final search for the rounding that meets the size.
SHY_STEPS: Final = 6
EVALUATION_SAMPLES: Final = 1 << 20


def anneal(latents: Tensor, temperature: float, uniform: Tensor) -> Tensor:
    """Stochastic Gumbel annealing (Yang, Bamler, Mandt 2020, section 3.2): relaxed samples of rounding down or up.

    The logit of each of the two integers is -artanh of the distance to it, divided by the temperature. So is the
    logistic noise, made of `uniform`, numbers in (0, 1). Samples tend to the nearest integer as the temperature tends
    to 0.
    """
    down = latents.detach().floor()
    share = latents - down
    edge = 1e-4
    share = share.clamp(edge, 1 - edge)
    logit = (torch.atanh(share) - torch.atanh(1 - share)) / temperature
    return down + torch.sigmoid((logit + torch.log(uniform) - torch.log1p(-uniform)) / temperature)


class EntropyModel:
    """A distribution over the integers for each level, given by its cumulative distribution function.

    The function is an affine map, ``x + tanh(g) tanh(x)``, another affine map and a sigmoid, with positive slopes: the
    factorised model of Ballé et al. (2018, appendix 6.1) with one unit per layer. It is not part of the file.
    """

    def __init__(self, sizes: list[int], device: str) -> None:
        one = math.log(math.expm1(1.0))
        start = torch.tensor([one, 0.0, 0.0, one, 0.0])[:, None].repeat(1, len(sizes))
        self.numbers = start.to(device).requires_grad_()
        self._sizes = torch.tensor(sizes, device=device)

    def bits(self, latents: Tensor) -> Tensor:
        """Bits of each latent (n,); latents may lie between integers."""
        numbers = torch.repeat_interleave(self.numbers, self._sizes, dim=1, output_size=len(latents))
        low, high = self._logit(latents - 0.5, numbers), self._logit(latents + 0.5, numbers)
        # Differences are taken where the sigmoid is small; near 1 they would be rounding errors.
        side = -torch.sign(low + high).detach()
        mass = (torch.sigmoid(side * high) - torch.sigmoid(side * low)).abs()
        return -torch.log2(mass.clamp_min(1e-9))

    @staticmethod
    def _logit(x: Tensor, numbers: Tensor) -> Tensor:
        slope, shift, gate, last, offset = numbers
        x = functional.softplus(slope) * x + shift
        x = x + torch.tanh(gate) * torch.tanh(x)
        return functional.softplus(last) * x + offset


class _Gather(torch.autograd.Function):
    """Interpolation as a product with a sparse matrix whose transpose is given."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, matrix: Tensor, transposed: Tensor) -> Tensor:
        ctx.transposed = transposed
        return matrix @ table

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return ctx.transposed @ gradients[0].contiguous(), None, None


def interpolation(field: HashGrid, level: int, coords: Tensor) -> tuple[Tensor, Tensor]:
    """Matrix (samples, entries) of a level's weights at coords (n, a), and its transpose, both CSR."""
    corners = list(field.corners(xtorch, level, coords))
    columns = torch.stack([entry for entry, _ in corners], 1).reshape(-1)
    weights = torch.stack([weight for _, weight in corners], 1).reshape(-1)
    shape = len(coords), field.entries(level)
    rows = torch.arange(len(coords), device=coords.device).repeat_interleave(len(corners))
    made = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch calls its sparse matrices a beta feature
        for index, size in (((rows, columns), shape), ((columns, rows), shape[::-1])):
            matrix = torch.sparse_coo_tensor(torch.stack(index), weights, size, check_invariants=False)
            matrix = matrix.coalesce().to_sparse_csr()
            narrow = matrix.crow_indices().int(), matrix.col_indices().int(), matrix.values()
            made.append(torch.sparse_csr_tensor(*narrow, size, check_invariants=False))
    return made[0], made[1]


def fit_grid(
    field: Trainable,
    signal: Part,
    config: FitConfig,
    params: Mapping[str, NDArray[Any]] | None = None,
    progress: Listener | None = None,
) -> FitResult:
    """The trainer of hash grids: their entries become integers for a number of bits, and are weights without one."""
    if config.bits is None:
        return fit_weights(field, signal, config, params, progress)
    if params is not None:
        raise InputError("fit: latents start from fresh parameters, got some")
    with kernels.training(field.num_params):
        return fit_latents(field, signal, config, progress)


def fit_latents(
    field: Trainable,
    signal: Part,
    config: FitConfig,
    progress: Listener | None = None,
) -> FitResult:
    """Fit a field with a hash grid of integers to a signal, in `config.bits` bits a sample.

    If the interpolation weights fit into memory, every step uses the whole signal. With interpolation as a sparse
    matrix, a step costs little more than the network, and the gradients of the latents are free of noise, which would
    raise their entropy. Larger signals, and rays, are trained in batches.

    Parameters
    ----------
    field, signal, progress
        As in `fit`.
    config
        `bits`, `steps`, `seconds`, `batch`, `seed`, `device` and `checkpoint` are used. `lr`, if not None, is the rate
        of the network; the other rates are scaled with it.

    Returns
    -------
    FitResult
        The tables hold integers. The affine maps of the levels are merged into the first layer. The loss is that of
        the rounded latents.

    Raises
    ------
    InputError
        The field has no hash grid, the bits are too few for its network, or the fit diverged.
    """
    if not hasattr(field, "tables"):
        raise InputError("fit: bits go with a hash grid, whose entries become integers")
    return _Latents(field, signal, config, progress).result()


def bytes_of_latents(field: Any, bits: float) -> float:
    """Bytes left for latents out of `bits`; negative if the network alone takes more."""
    # One byte per number of the network, and the overhead of the records.
    return bits / 8 - float(field.network_params) - 64


def _clipped(ratio: float, most: float) -> float:
    """A ratio, limited to [1 / most, most]."""
    return min(max(ratio, 1 / most), most)


class _Latents:
    def __init__(self, field: Any, signal: Part, config: FitConfig, progress: Listener | None) -> None:
        self.run = Run(config, self, progress)
        self.field, self.signal, self.config = field, signal, config
        assert config.bits is not None
        self.samples = Samples(signal, config.device)
        self.names, shapes = list(field.tables), field.shapes()
        self.sizes = [shapes[name][0] for name in self.names]
        self.channels = shapes[self.names[0]][1]
        #: Prefix of the names of the network's first layer.
        self.first = self.names[0].removesuffix("grid.0") + "layers.0."
        self.target = bytes_of_latents(field, config.bits * len(signal))
        if self.target <= 0:
            raise InputError(f"bits: {config.bits:g} a sample are too few for the network alone; expected more")
        self.generator = torch.Generator().manual_seed(config.seed)
        self.weight = FIRST_WEIGHT / config.bits
        self.recent, self.taken, self.looked, self.shy = math.inf, 0, -1, 0.0
        self._start()
        kept = len(signal) * len(self.names) * 2**field.in_features <= MOST_KEPT
        self.matrices = self._matrices() if kept and hasattr(field, "corners") else None
        self.batches = Batches(len(signal), min(config.batch, len(signal)), config.seed)

    def _start(self) -> None:
        """Set up leaves and optimiser."""
        field, device = self.field, self.config.device
        rng = np.random.default_rng(self.config.seed)
        values = torch.cat([v for _, v in self.samples.chunks(even_subset(len(self.samples), 1 << 16))])
        start = field.centre(field.init(rng), values.mean(0).cpu().numpy())
        tables = np.concatenate([start.pop(name) for name in self.names])
        self.latents = torch.tensor(tables, device=device).requires_grad_()
        self.scales = torch.full((len(self.names),), math.log(SCALE), device=device).requires_grad_()
        self.shifts = torch.zeros(len(self.names) * self.channels, device=device).requires_grad_()
        self.network = {name: torch.tensor(w, device=device).requires_grad_() for name, w in start.items()}
        self.model = EntropyModel([size * self.channels for size in self.sizes], device)
        self.rates = [rate * (self.config.lr or RATES[1]) / RATES[1] for rate in RATES]
        groups = ([self.latents], [self.scales, self.shifts, *self.network.values()], [self.model.numbers])
        self.optimizer = torch.optim.Adam([{"params": p} for p in groups], betas=(0.9, 0.99))
        self.function = field.function(xtorch, torch.device(device))

    def _matrices(self) -> list[tuple[Tensor, Tensor]]:
        coords = torch.cat([c for c, _ in self.samples.chunks()])
        return [interpolation(self.field, level, coords) for level in range(self.field.levels)]

    # -- the loop

    def result(self) -> FitResult:
        """Run the fit."""
        run = self.run
        run.resume()
        with run:
            run.complete(self.loop)
        self._fit_in()
        run.finish(self.config.keep_checkpoint)
        return self._result()

    def loop(self) -> None:
        """Step until the budget is spent or Ctrl-C."""
        for share in self.run:
            if (look := int(share * LOOKS)) > self.looked:
                if share >= FOLLOW_AT:
                    self._follow()
                self.looked = look
            self._step(share)
            self.run.advance()
            if self.run.step % 10 == 0:
                self.run.report(self.recent)

    def quantised(self, share: float) -> Tensor:
        """The latents: with noise, annealed or rounded, depending on the share of the budget that is spent."""
        if share >= ROUND_AT:
            return self.latents + (self.latents.round() - self.latents).detach()
        uniform = torch.rand(self.latents.shape, generator=self.generator).to(self.latents.device)
        if share < ANNEAL_AT:
            return self.latents + uniform - 0.5
        first, last = TEMPERATURES
        temperature = first * (last / first) ** ((share - ANNEAL_AT) / (ROUND_AT - ANNEAL_AT))
        return anneal(self.latents, temperature, uniform.clamp(1e-6, 1 - 1e-6))

    def decoded(self, quantised: Tensor) -> list[Tensor]:
        """Tables of features: latents times the scale of their level. Its shift is merged into the first layer."""
        tables = quantised.split(self.sizes)
        return [table * scale for table, scale in zip(tables, self.scales.exp())]

    def weights(self) -> dict[str, Tensor]:
        """Parameters of the network, with the shifts of all levels in the first bias."""
        weight, bias = (self.network[self.first + name] for name in ("weight", "bias"))
        return self.network | {self.first + "bias": bias + weight @ self.shifts}

    def _step(self, share: float) -> None:
        latents = self.quantised(share)
        bits = self.model.bits(latents.reshape(-1)).sum() / len(self.samples)
        tables = self.decoded(latents)
        self.recent = (self._whole if self.matrices is not None else self._batch)(tables, self.weight * bits)
        factor = min(1.0, (self.run.step + 1) / WARMUP_STEPS)
        if share > ANNEAL_AT:
            fall = (share - ANNEAL_AT) / (1 - ANNEAL_AT)
            factor *= LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * fall)) / 2
        for group, rate in zip(self.optimizer.param_groups, self.rates):
            group["lr"] = factor * rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _whole(self, tables: list[Tensor], penalty: Tensor) -> float:
        """Gradients of the loss over all samples. The network's are computed in chunks that fit into the cache."""
        assert self.matrices is not None
        network = self.field.network.function(xtorch, self.latents.device)
        features = torch.cat([_Gather.apply(t, *matrix) for t, matrix in zip(tables, self.matrices)], 1)
        weights = self.weights()
        leaves = {name: w.detach().requires_grad_() for name, w in weights.items()}
        gradient, total, at = torch.empty_like(features), 0.0, 0
        for _, values in self.samples.chunks(size=CHUNK):
            some = slice(at, at + len(values))
            chunk = features.detach()[some].requires_grad_()
            loss = self.signal.loss(network(leaves, chunk), values) * (len(values) / len(self.samples))
            loss.backward()
            gradient[some], total, at = chunk.grad, total + float(loss.detach()), some.stop
        outputs = [features, *weights.values(), penalty]
        torch.autograd.backward(outputs, [gradient, *(leaf.grad for leaf in leaves.values()), None])
        return total

    def _batch(self, tables: list[Tensor], penalty: Tensor) -> float:
        params = dict(zip(self.names, tables)) | self.weights()
        if hasattr(self.field, "refresh"):
            with torch.no_grad():
                self.field.refresh(params, self.run.step)
        coords, values = self.samples.take(self.batches.draw())
        loss = self.signal.loss(self.function(params, coords), values)
        (loss + penalty).backward()
        value = float(loss.detach())
        return value if self.recent == math.inf else self.recent + 0.05 * (value - self.recent)

    # -- bytes

    def _rounded(self) -> list[NDArray[np.float32]]:
        """Tables of integers. Magnitudes are rounded up where their fraction is at least 0.5 + `shy`."""
        latents = self.latents.detach()
        rounded = latents.sign() * (latents.abs() + (0.5 - self.shy)).floor().clamp_min(0) + 0.0  # no negative zero
        return [table.cpu().numpy() for table in rounded.split(self.sizes)]

    def _bytes(self) -> int:
        """Size of the rounded latents in a file."""
        codings = self.field.tables.values()
        return sum(len(encode_tensor(table, coding)) for table, coding in zip(self._rounded(), codings))

    def _follow(self) -> None:
        """Update the weight of the entropy by the size of the latents."""
        taken = self._bytes()
        far = _clipped(taken / (AIM * self.target), 3.0) ** GAIN
        faster = _clipped(taken / (self.taken or taken), 1.25) ** DAMPING
        self.weight = min(max(self.weight * far * faster, WEIGHTS[0]), WEIGHTS[1])
        self.taken = taken

    def _fit_in(self) -> None:
        """Round magnitudes down until the latents meet their size. Further training instead cost 0.6 to 1.3 dB."""
        if self._bytes() <= self.target:
            return
        low, self.shy = 0.0, 0.5
        while self._bytes() > self.target and self.shy < float(self.latents.detach().abs().max()):
            low, self.shy = self.shy, 2 * self.shy
        for _ in range(SHY_STEPS):
            high, self.shy = self.shy, (low + self.shy) / 2
            if self._bytes() > self.target:
                low, self.shy = self.shy, high

    # -- the end, and checkpoints

    def _result(self) -> FitResult:
        field = self.field
        params: dict[str, NDArray[Any]] = dict(zip(self.names, self._rounded()))
        with torch.no_grad():
            weights = {name: w.clone() for name, w in self.weights().items()}
            weights[self.first + "weight"] *= self.scales.exp().repeat_interleave(self.channels)
        params |= {name: w.cpu().numpy() for name, w in weights.items()}
        subset = even_subset(len(self.signal), EVALUATION_SAMPLES)
        loss = Evaluator(field, self.signal, subset, self.config.device, self.samples)(params)
        if not math.isfinite(loss):
            raise InputError("fit: diverged; expected a lower lr")
        return FitResult(params, loss, self.run.step, self.run.elapsed, self.run.interrupted, 0, False, False)

    def _leaves(self) -> Mapping[str, Tensor]:
        own = {"latents": self.latents, "scales": self.scales, "shifts": self.shifts, "model": self.model.numbers}
        return own | self.network

    def identity(self) -> str:
        """See `run.Resumable`."""
        c, digest = self.config, 0
        for array in next(iter(self.samples.chunks(even_subset(len(self.samples), 256)))):
            digest = zlib.crc32(array.cpu().contiguous().numpy().tobytes(), digest)
        settings = [c.bits, c.steps, c.seconds, c.lr, c.batch, c.seed]
        return json.dumps([self.field.to_header(), settings, len(self.samples), digest])

    def state_dict(self) -> dict[str, Any]:
        """See `run.Resumable`."""
        return {
            "state": [self.run.step, self.run.elapsed - self.run.uncounted, self.weight, self.taken, self.looked],
            "leaves": dict(self._leaves()),
            "optimizer": self.optimizer.state_dict(),
            "generators": [self.generator.get_state(), self.batches.generator.get_state()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `run.Resumable`."""
        self.run.step, self.run.before, self.weight, self.taken, self.looked = state["state"]
        with torch.no_grad():
            for name, leaf in self._leaves().items():
                leaf.copy_(state["leaves"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        for generator, saved in zip((self.generator, self.batches.generator), state["generators"]):
            generator.set_state(saved)
