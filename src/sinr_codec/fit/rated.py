"""Training real parameters for a number of bits: noise in place of rounding, learned step sizes, a rate penalty.

Uniform noise stands for rounding (Ballé et al. 2017), and a Gaussian with the power of each row for the entropy model
of an adaptive coder. The noise is a fraction of the step size, because weights are not rounded independently: the
remaining ones compensate (`fit.rounding`). Training with noise of a whole step ends no better than training without.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor

from sinr_codec.fit.optim import Leaves, Packing

#: Share of the steps after which noise and penalty begin, for fresh parameters.
BEGIN_AT: Final = 0.3
#: Width of the noise in step sizes of the quantiser; 0.5 is as good, 1 costs 0.4 dB.
NOISE: Final = 0.3
#: Learning rate of Adam for the logarithms of the step sizes, and the share to which it decays with the other rates.
STEP_RATE: Final = 2e-2
LEAST_RATE: Final = 0.1
#: Weight of the penalty relative to the loss: initial value and limits. At every step after the first `SETTLE` it is
#: multiplied by the ratio of the bits to the target, to the power of `GAIN`.
FIRST_WEIGHT: Final = 0.1
WEIGHTS: Final = (1e-4, 10.0)
GAIN: Final = 0.1
SETTLE: Final = 20


class Rate:
    """Noise and penalty for leaves that are to take `target` bits.

    Parameters
    ----------
    leaves, packing
        Trained tensors. Each parameter tensor has its own step size, also where a leaf joins two.
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
        """Logarithm of the step size at which Gaussian numbers take `bits` each."""
        power = rows.square().mean().clamp_min(1e-20)
        return 0.5 * torch.log(2 * math.pi * math.e * power) - bits * math.log(2)

    def _rows(self, name: str, leaf: Tensor) -> list[Tensor]:
        """The tensors that a leaf joins, as rows; a bias is one row."""
        if name in self.packing.joined:
            return [leaf[:, :-1].flatten(1), leaf[:, -1].reshape(1, -1)]
        matrix = leaf.ndim - (name in self.packing.complex) > 1
        return [leaf.flatten(1) if matrix else leaf.reshape(1, -1)]

    def noisy(self, leaves: Leaves) -> Leaves:
        """The leaves with noise, differentiable by leaves and step sizes."""
        return {name: leaf + self._noise(name, leaf) for name, leaf in leaves.items()}

    def _noise(self, name: str, leaf: Tensor) -> Tensor:
        steps = self.logs[name].exp()
        if name in self.packing.joined:
            steps = torch.cat([steps[:1].expand(leaf.shape[1] - 1), steps[1:]])
            steps = steps.view(-1, *[1] * (leaf.ndim - 2))
        uniform = torch.rand(leaf.shape, generator=self.generator).to(leaf.device) - 0.5
        return NOISE * uniform * steps

    def bits(self, leaves: Leaves) -> Tensor:
        """Entropy of the rounded numbers, those of each row, and of each bias, being Gaussian."""
        total: Any = 0.0
        for name, leaf in leaves.items():
            for rows, log in zip(self._rows(name, leaf), self.logs[name]):
                powers = rows.square().mean(1) * torch.exp(-2 * log)
                each = 0.5 * torch.log2(2 * math.pi * math.e * (powers + 1 / 12))
                total = total + each.clamp_min(0).sum() * rows.shape[1]
        return total

    def step(self, leaves: Leaves, loss: float, factor: float) -> None:
        """Add the penalty's gradients to those of the loss, and update the step sizes.

        `loss` is the value of the loss, whose gradients the leaves have; `factor` is that on the learning rates.
        """
        bits = self.bits(leaves) / self.target
        (self.weight * loss * bits).backward()
        self.count += 1
        if self.count > SETTLE:
            self.weight = min(max(self.weight * float(bits.detach()) ** GAIN, WEIGHTS[0]), WEIGHTS[1])
        for log in self.logs.values():
            if log.grad is not None:
                log.grad.div_(max(loss, 1e-30))  # Adam averages gradients, which shrink with the loss
        self.optimizer.param_groups[0]["lr"] = STEP_RATE * max(factor, LEAST_RATE)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    # -- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """State that changes, for a checkpoint."""
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
