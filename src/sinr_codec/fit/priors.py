"""Networks that many pyramids begin from, learned from pictures: the networks are shared, each picture has latents.

The training is that of `fit.pyramid`, with all latents and the shared networks together: an auto-decoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sinr_codec.fields.pyramid import Pyramid, latents_name
from sinr_codec.fit.code_length import NETWORKS, CodeLength, soft_rounded
from sinr_codec.fit.pyramid import GAIN, LATENT_RATE, LEAST_RATE, NETWORK_RATE, NOISES, TEMPERATURES, first_networks
from sinr_codec.fit.synthesis import Synthesis

BETAS: Final = 0.9, 0.99


class _Crop:
    """A crop's values, its latents, and Adam's moments of them."""

    def __init__(self, targets: Tensor, count: int) -> None:
        self.targets, self.steps = targets, 0
        self.latents, self.mean, self.square = (torch.zeros(count) for _ in range(3))

    def step(self, gradient: Tensor, rate: float) -> None:
        """A step of Adam."""
        a, b = BETAS
        self.steps += 1
        self.mean.lerp_(gradient, 1 - a)
        self.square.lerp_(gradient**2, 1 - b)
        scale = (self.square / (1 - b**self.steps)).sqrt_().add_(1e-8)
        self.latents.addcdiv_(self.mean, scale, value=-rate / (1 - a**self.steps))


def learn_networks(
    field: Pyramid,
    crops: Sequence[NDArray[np.float32]],
    weight: float,
    epochs: int,
    seed: int = 0,
    start: dict[str, Tensor] | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> dict[str, Tensor]:
    """Networks in real numbers for values of crops (*field.sizes, b), at a weight of the rate.

    `progress` gets step, steps and the running cost. The last quarter of the epochs averages the networks.
    """
    from pytorch_optimizer import SOAP

    rng = np.random.default_rng(seed)
    synthesis, code_length = Synthesis(field), CodeLength(field)
    shapes = [field.latents[latents_name(level)] for level in range(1, field.levels + 1)]
    counts = [math.prod(shape) for shape in shapes]
    ends = np.cumsum(counts)[:-1]
    examples = [_Crop(synthesis.targets(values), sum(counts)) for values in crops]
    mean = torch.stack([e.targets.mean(tuple(range(2, e.targets.ndim)))[0] for e in examples]).mean(0)
    networks = {n: w.clone().requires_grad_() for n, w in (start or first_networks(field, rng, mean)).items()}
    soap = SOAP(list(networks.values()), lr=NETWORK_RATE, betas=(0.95, 0.95), weight_decay=0.0)
    samples, total, recent = math.prod(field.sizes), epochs * len(examples), math.inf
    for number in range(total):
        if number % len(examples) == 0:
            order = rng.permutation(len(examples))
        crop, share = examples[order[number % len(examples)]], number / total
        temperature, noise = (a + (b - a) * share for a, b in (TEMPERATURES, NOISES))
        factor = (LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * share)) / 2) * min(1.0, (number + 1) / 100)
        uniform = rng.random(sum(counts), np.float32)
        soft, slopes = soft_rounded(crop.latents.numpy(), uniform, GAIN, temperature, noise)
        planes = [part.reshape(shape) for part, shape in zip(np.split(soft, ends), shapes)]
        leaves = [torch.from_numpy(plane).requires_grad_() for plane in planes]
        loss = ((synthesis(leaves, networks) - crop.targets) ** 2).mean() / 4
        loss.backward()
        bits, by_latents, by_networks = code_length(planes, {n: networks[n].detach().numpy() for n in NETWORKS})
        scale = weight / samples
        for name, gradient in by_networks.items():
            networks[name].grad = scale * torch.from_numpy(gradient)
        gradients: list[Any] = [leaf.grad + scale * torch.from_numpy(g) for leaf, g in zip(leaves, by_latents)]
        crop.step(torch.cat([g.flatten() for g in gradients]) * torch.from_numpy(slopes), factor * LATENT_RATE)
        for group in soap.param_groups:
            group["lr"] = factor * NETWORK_RATE
        soap.step()
        soap.zero_grad(set_to_none=True)
        cost = float(loss.detach()) + scale * sum(bits)
        recent = cost if math.isinf(recent) else recent + (cost - recent) / len(examples)
        if progress is not None and number % 10 == 0:
            progress(number, total, recent)
    return {name: w.detach() for name, w in networks.items()}
