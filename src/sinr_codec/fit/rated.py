"""Training real parameters for a number of bits: noise in place of rounding, steps that are learned, a penalty.

Uniform noise stands for rounding (Ballé et al. 2017) and a Gaussian of each row's power for the entropy model, which is
what an adaptive coder comes to. The noise is a fraction of the step, since weights are not rounded one by one but so
that the others make up for it (`fit.rounding`): training under all of a step's noise ends as low as without any.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor

from sinr_codec.fit.optim import Leaves, Packing

#: Share of the steps before the noise and the penalty begin, where parameters are fresh.
BEGIN_AT: Final = 0.3
#: Width of the noise in steps of the quantiser; 0.5 is as good, 1 costs 0.4 dB.
NOISE: Final = 0.3
#: Of Adam, for the logarithms of the steps; it falls with the others' to this share.
STEP_RATE: Final = 2e-2
LEAST_RATE: Final = 0.1
#: Weight of the bits over those aimed at, relative to the loss, to begin with; its limits; exponent with which it
#: follows the ratio of the two at every step, and steps before it does.
FIRST_WEIGHT: Final = 0.1
WEIGHTS: Final = (1e-4, 10.0)
GAIN: Final = 0.1
SETTLE: Final = 20


class Rate:
    """Noise and penalty for leaves that take `target` bits in the end.

    Parameters
    ----------
    leaves, packing
        What is trained. Each tensor has a step of its own, also where a leaf joins two.
    target
        Bits of all parameters together.
    seed
        Of the noise.
    """

    def __init__(self, leaves: Leaves, packing: Packing, target: float, seed: int) -> None:
        self.packing, self.target = packing, target
        self.generator = torch.Generator().manual_seed(seed)
        self.weight, self.count = FIRST_WEIGHT, 0
        each = target / sum(leaf.numel() for leaf in leaves.values())
        with torch.no_grad():
            self.logs = {
                name: torch.stack([self._first_log(rows, each) for rows in self._rows(name, leaf)]).requires_grad_()
                for name, leaf in leaves.items()
            }
        self.optimizer = torch.optim.Adam(list(self.logs.values()), lr=STEP_RATE, betas=(0.9, 0.99))

    @staticmethod
    def _first_log(rows: Tensor, bits: float) -> Tensor:
        """The step at which Gaussian numbers take so many bits each."""
        power = rows.square().mean().clamp_min(1e-20)
        return 0.5 * torch.log(2 * math.pi * math.e * power) - bits * math.log(2)

    def _rows(self, name: str, leaf: Tensor) -> list[Tensor]:
        """The tensors that a leaf is made of, as rows; a bias is one row."""
        if name in self.packing.joined:
            return [leaf[:, :-1].flatten(1), leaf[:, -1].reshape(1, -1)]
        matrix = leaf.ndim - (name in self.packing.complex) > 1
        return [leaf.flatten(1) if matrix else leaf.reshape(1, -1)]

    def noisy(self, leaves: Leaves) -> Leaves:
        """The leaves with noise, differentiable in leaves and steps."""
        return {name: leaf + self._noise(name, leaf) for name, leaf in leaves.items()}

    def _noise(self, name: str, leaf: Tensor) -> Tensor:
        steps = self.logs[name].exp()
        if name in self.packing.joined:
            steps = torch.cat([steps[:1].expand(leaf.shape[1] - 1), steps[1:]])
            steps = steps.view(-1, *[1] * (leaf.ndim - 2))
        uniform = torch.rand(leaf.shape, generator=self.generator).to(leaf.device) - 0.5
        return NOISE * uniform * steps

    def bits(self, leaves: Leaves) -> Tensor:
        """Entropy of the rounded numbers if those of a row are Gaussian, and those of a bias."""
        total: Any = 0.0
        for name, leaf in leaves.items():
            for rows, log in zip(self._rows(name, leaf), self.logs[name]):
                powers = rows.square().mean(1) * torch.exp(-2 * log)
                each = 0.5 * torch.log2(2 * math.pi * math.e * (powers + 1 / 12))
                total = total + each.clamp_min(0).sum() * rows.shape[1]
        return total

    def step(self, leaves: Leaves, loss: float, factor: float) -> None:
        """Add the penalty's gradients to those of the loss, and move the steps.

        `loss` is the value of the loss, whose gradients the leaves have already; `factor` that of the learning rates.
        """
        bits = self.bits(leaves) / self.target
        (self.weight * loss * bits).backward()
        self.count += 1
        if self.count > SETTLE:
            self.weight = min(max(self.weight * float(bits.detach()) ** GAIN, WEIGHTS[0]), WEIGHTS[1])
        for log in self.logs.values():
            if log.grad is not None:
                log.grad.div_(max(loss, 1e-30))  # Adam's memory is of gradients, which shrink as the loss does
        self.optimizer.param_groups[0]["lr"] = STEP_RATE * max(factor, LEAST_RATE)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    # -- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """All that changes."""
        return {
            "weight": self.weight,
            "count": self.count,
            "logs": self.logs,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`."""
        self.weight, self.count = state["weight"], state["count"]
        with torch.no_grad():
            for name, log in self.logs.items():
                log.copy_(state["logs"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
