"""The alternatives in section 3.2 of SINR's paper: L1, pruning, learned dictionaries, PCA."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.assembled import assemble
from sinr_codec.coding.sparse import SENT, Layout, SparseCode, layout_of, to_vectors
from sinr_codec.coding.tensor import Coding, Direct, Raw, Sparse, describe_tensor, is_lossy
from sinr_codec.errors import InputError
from sinr_codec.fields import MLP
from sinr_codec.methods.base import Coded, Task, Training
from sinr_codec.methods.coin import SINE
from sinr_codec.planning.omp import omp
from sinr_codec.planning.paper import PAPER_BITS
from sinr_codec.planning.pursuit import paper_sparsity
from sinr_codec.types import Floats, Params

FINE_TUNING: Final[dict[str, Any]] = {"optimizer": "soap", "lr": 1e-3, "steps": 2000, "batch": 4096}
"""After pruning, at full effort: the budget of the experiments' networks."""
TABLE_BITS: Final = 10
"""Bits per entry of a learned dictionary: 8 bits lose quality, more than 10 only cost bytes."""


def l1(weight: float) -> Training:
    """COIN's networks, with an L1 penalty of this weight in the loss."""
    return replace(SINE, name=f"sine-l1-{weight:g}", l1=weight)


# -- pruning ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pruned:
    """Magnitude pruning of a trained network (torch.nn.utils.prune), followed by further training.

    Unstructured: the smallest weights of all matrices together become zero and stay zero. Structured (`neurons`): the
    rows with the smallest norms are removed from each hidden layer, with their columns in the next layer, which leaves
    a narrower network.

    Attributes
    ----------
    share
        Share of the weights, or of the neurons, to remove: 0..1.
    """

    share: float
    neurons: bool = False

    def __call__(self, task: Task) -> Params:
        """Prune a network and train the rest; see `Task.with_params`."""
        if task.field.mlp is not task.field:
            raise InputError("pruning: expected the network to be an MLP")
        if self.neurons:
            return _train(task.with_params(self._narrowed(task.field, task.params)))
        masks = self._masks(task.params)
        return _train(task, masks)

    def _masks(self, params: Params) -> dict[str, Any]:
        from torch.nn.utils import prune

        layers = _modules(params)
        prune.global_unstructured(
            [(layer, "weight") for layer in layers.values()], prune.L1Unstructured, amount=self.share
        )
        return {f"{name}.weight": layer.weight_mask for name, layer in layers.items()}

    def _narrowed(self, field: MLP, params: Params) -> dict[str, NDArray[Any]]:
        from torch.nn.utils import prune

        kept = dict(params)
        names = list(_modules(params))
        for name, after in pairwise(names):
            layer = _modules(kept)[name]
            prune.ln_structured(layer, "weight", amount=self.share, n=2, dim=0)
            rows = np.flatnonzero(layer.weight_mask.any(dim=1).numpy())
            if not len(rows):
                raise InputError(f"pruning: {self.share:.0%} of the neurons of a layer of {field.width} leave none")
            kept[f"{name}.weight"], kept[f"{name}.bias"] = kept[f"{name}.weight"][rows], kept[f"{name}.bias"][rows]
            kept[f"{after}.weight"] = kept[f"{after}.weight"][:, rows]
        return kept


def _modules(params: Params) -> dict[str, Any]:
    """A torch module for each weight matrix, as torch's pruning needs."""
    import torch

    modules = {}
    for name, w in params.items():
        if name.endswith(".weight"):
            layer = torch.nn.Linear(w.shape[1], w.shape[0], bias=False)
            layer.weight = torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(w)))
            modules[name.removesuffix(".weight")] = layer
    return modules


def _train(task: Task, masks: Mapping[str, Any] | None = None) -> Params:
    from sinr_codec.fit import FitConfig, fit
    from sinr_codec.fit.through import Through

    settings = FINE_TUNING | {"steps": max(1, round(FINE_TUNING["steps"] * task.effort))}
    config = FitConfig(seed=task.seed, device=task.device, compile=False, **settings)
    if masks is None:
        return fit(task.trainable, task.part, config, dict(task.params)).params
    on_device = {name: mask.to(task.device) for name, mask in masks.items()}

    def masked(numbers: Mapping[str, Any]) -> dict[str, Any]:
        return {name: w * on_device[name] if name in on_device else w for name, w in numbers.items()}

    trained = fit(Through(task.trainable, masked), task.part, config, dict(task.params)).params
    return {name: w * masks[name].numpy().astype(w.dtype) if name in masks else w for name, w in trained.items()}


# -- dictionaries learned from the weights, and transmitted ----------------------------------------------------------

#: The dictionary (k1, k2) of vectors (k1, n) and the number of atoms of each vector.
Learn = Callable[[Floats], tuple[Floats, int]]


@dataclass(frozen=True)
class Learned:
    """SINR's coding, with a learned dictionary for each matrix, which is part of the file."""

    learn: Learn

    def __call__(self, task: Task) -> Coded:
        """Code a network; the figure "dictionary_bytes" is the size of the dictionaries."""
        k = max((w.size for w in task.params.values() if w.ndim == 1), default=0)
        codings: dict[str, Coding] = {}
        codes: dict[str, SparseCode | None] = {}
        for name, w in task.params.items():
            codings[name] = Direct(bits=PAPER_BITS, paper=True) if is_lossy(w) else Raw()
            # for a matrix of few vectors the dictionary would be larger than the matrix
            layout = layout_of(w.shape, k)
            if not is_lossy(w) or w.ndim < 2 or layout.axis is None or min(w.shape) < k or w.dtype.kind == "c":
                continue
            code = self._code(w, layout, task.device)
            s, k2 = len(code.indices), code.k2
            codings[name], codes[name] = Sparse(SENT, 0, k2, s, layout, bits=PAPER_BITS, paper=s < k2), code
        plan = assemble(task.params, codings, codes)
        sent = sum(
            describe_tensor(plan.records[name], task.params[name].shape, task.params[name].dtype)["dictionary_bytes"]
            for name in codes
        )
        return Coded(plan, figures={"dictionary_bytes": sent})

    def _code(self, w: NDArray[Any], layout: Layout, device: str) -> SparseCode:
        vectors = to_vectors(w, layout)
        atoms, s = self.learn(vectors)
        table = np.rint(atoms * ((2 ** (TABLE_BITS - 1) - 1) / np.abs(atoms).max(axis=0))).astype(np.int64)
        indices, values = omp(table, vectors, s, device=device)
        return SparseCode(SENT, 0, table.shape[1], layout, indices, values, table)


@dataclass(frozen=True)
class DictionaryLearning:
    """scikit-learn's dictionary learning, with SINR's number of atoms per vector."""

    k2: int

    def __call__(self, vectors: Floats) -> tuple[Floats, int]:
        """The dictionary (k1, k2) of vectors (k1, n)."""
        from sklearn.decomposition import DictionaryLearning as Learner
        from sklearn.exceptions import ConvergenceWarning

        s = min(paper_sparsity(len(vectors)), self.k2)
        learner = Learner(
            self.k2,
            alpha=0.1,
            max_iter=50,
            fit_algorithm="cd",
            transform_algorithm="omp",
            transform_n_nonzero_coefs=s,
            random_state=0,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            learner.fit((vectors / vectors.std()).T)
        return learner.components_.T, s


@dataclass(frozen=True)
class PrincipalComponents:
    """The mean vector and principal components, together this share of k1; every vector uses all of them."""

    share: float

    def __call__(self, vectors: Floats) -> tuple[Floats, int]:
        """Mean and components (k1, c) of vectors (k1, n)."""
        from sklearn.decomposition import PCA

        count = max(1, round(self.share * min(vectors.shape)) - 1)
        pca = PCA(count).fit(vectors.T)
        atoms = np.concatenate([pca.mean_[None], pca.components_]).T
        return atoms, atoms.shape[1]
