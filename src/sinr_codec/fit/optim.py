"""Optimisers over the parameters of a field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.fit.config import Optimizer

Leaves = dict[str, Tensor]


class Packing:
    """Converts the parameters of a field to the tensors that an optimiser works on (leaves), and back.

    Complex tensors become real ones with a last axis of 2. With `join`, a bias becomes an extra column of its weight.
    SOAP then preconditions the affine map as a whole, and has half as many tensors.
    """

    def __init__(self, params: Mapping[str, NDArray[Any]], join: bool) -> None:
        self.names = list(params)
        self.complex = {name for name, value in params.items() if np.iscomplexobj(value)}
        self.joined = {
            name: f"{stem}.bias"
            for name in self.names
            if join and (stem := name.removesuffix(".weight")) != name and f"{stem}.bias" in params
        }

    def pack(self, params: Mapping[str, NDArray[Any]], device: str) -> Leaves:
        """Fresh leaves that require gradients."""
        tensors = {name: torch.tensor(value) for name, value in params.items()}
        tensors = {name: torch.view_as_real(t) if t.is_complex() else t for name, t in tensors.items()}
        leaves = {}
        for name in self.names:
            if name in self.joined.values():
                continue
            leaf = tensors[name]
            if name in self.joined:
                leaf = torch.cat([leaf, tensors[self.joined[name]][:, None]], dim=1)
            leaves[name] = leaf.contiguous().to(device).requires_grad_()
        return leaves

    def unpack(self, leaves: Leaves) -> dict[str, Tensor]:
        """Parameters as views of the leaves, in the field's order."""
        parts: dict[str, Tensor] = {}
        for name, leaf in leaves.items():
            if name in self.joined:
                parts[name], parts[self.joined[name]] = leaf[:, :-1], leaf[:, -1]
            else:
                parts[name] = leaf
        return {n: torch.view_as_complex(parts[n].contiguous()) if n in self.complex else parts[n] for n in self.names}

    def to_numpy(self, leaves: Leaves) -> dict[str, NDArray[Any]]:
        """Copies of the parameters."""
        with torch.no_grad():
            return {name: value.cpu().numpy().copy() for name, value in self.unpack(leaves).items()}


class Stepper:
    """Torch optimisers that step together, with a common factor on their learning rates."""

    def __init__(self, optimizers: list[torch.optim.Optimizer]) -> None:
        self.optimizers = optimizers
        self._rates = [[group["lr"] for group in o.param_groups] for o in optimizers]

    def step(self, factor: float) -> None:
        """Step at `factor` times the peak rates, then clear the gradients."""
        for optimizer, rates in zip(self.optimizers, self._rates):
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = factor * rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        """State of all optimisers."""
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, state: list[dict[str, Any]]) -> None:
        """Inverse of `state_dict`."""
        for optimizer, part in zip(self.optimizers, state):
            optimizer.load_state_dict(part)


def joins(kind: Optimizer) -> bool:
    """Whether the optimiser takes a weight and its bias as one matrix."""
    return kind == "soap"


def make_optimizer(kind: Optimizer, leaves: Leaves, lr: float) -> Stepper:
    """The optimiser with the best settings for coordinate networks, without weight decay.

    Raises
    ------
    InputError
        Muon for a field without real hidden matrices, where it would be Adam at a low rate.
    """
    tensors = list(leaves.values())
    return _MAKERS[kind](tensors, lr)


def load() -> None:
    """Import the optimisers' library in advance, so that a fit does not spend its seconds on it."""
    with suppress(ImportError):  # `make_optimizer` reports it
        import pytorch_optimizer  # noqa: F401


def _soap(tensors: list[Tensor], lr: float) -> Stepper:
    try:
        from pytorch_optimizer import SOAP
    except ImportError as error:
        raise MissingExtraError("optimizer soap needs pytorch-optimizer: pip install 'sinr-codec[fit]'") from error
    return Stepper([SOAP(tensors, lr=lr, betas=(0.9, 0.95), weight_decay=0.0, precondition_frequency=10)])


def _adam(tensors: list[Tensor], lr: float) -> Stepper:
    return Stepper([torch.optim.Adam(tensors, lr=lr, betas=(0.9, 0.99))])


#: Ratio of Adam's learning rate to Muon's. First layer, last layer and biases need the usual rate of Adam.
_ADAM_PER_MUON: Final = 0.1


def _muon(tensors: list[Tensor], lr: float) -> Stepper:
    hidden = [t for t in tensors[1:-2] if t.ndim == 2]
    if not hidden or any(t.ndim > 2 for t in tensors):  # complex matrices have a last axis of 2
        raise InputError("fit: optimizer muon needs hidden layers with real weights; expected soap or adam")
    ids = {id(t) for t in hidden}
    rest = [t for t in tensors if id(t) not in ids]
    adam = torch.optim.Adam(rest, lr=lr * _ADAM_PER_MUON, betas=(0.9, 0.99))
    return Stepper([adam, torch.optim.Muon(hidden, lr=lr, weight_decay=0.0)])


_MAKERS: Final[dict[str, Callable[[list[Tensor], float], Stepper]]] = {"soap": _soap, "adam": _adam, "muon": _muon}
