"""Networks shared by many signals: modulated by a signal's latents, or with a difference from all parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, MalformedError, quoted
from sinr_codec.fields._numbers import built
from sinr_codec.fields.base import FieldDefaults, Params
from sinr_codec.fields.latents import LatentModel
from sinr_codec.fields.mlp import MAX_PARAMS, MLP
from sinr_codec.types import AnyArray, Array, Cbor

LATENTS: Final = "latents"
"""Name of a signal's latents."""
MODULATION: Final = "modulation.weight"
"""Name of the map from latents to shifts."""
MAX_LATENTS: Final = 1 << 14
MAX_SIDE: Final = 1 << 20
"""Most samples along an axis cut into patches, which float32 coordinates can distinguish."""


class _AroundMLP:
    """Members that a network has in common with its MLP."""

    mlp: MLP

    @property
    def in_features(self) -> int:
        """Number of coordinates a."""
        return self.mlp.in_features

    @property
    def out_features(self) -> int:
        """Number of values b."""
        return self.mlp.out_features

    @property
    def width(self) -> int:
        """Neurons a hidden layer."""
        return self.mlp.width

    @property
    def neurons(self) -> int:
        """Those of the MLP."""
        return self.mlp.neurons


@dataclass(frozen=True)
class Modulated(_AroundMLP):
    """An MLP shared by all signals, and a linear map from latents z (d,) to a shift of each hidden neuron.

    A layer is ``f(gain (W x + b + M z))`` (COIN++, Dupont et al. 2022, section 2.2); the output layer is not shifted. M
    has no bias, which would be redundant with b.

    Parameters
    ----------
    mlp
        The network; its activation must be real.
    latents
        Number d of latents.

    Raises
    ------
    InputError
        A complex activation, or no latents.
    """

    mlp: MLP
    latents: int

    ID: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if self.mlp.activation.COMPLEX:
            raise InputError("modulations: expected a real activation")
        if type(self.latents) is not int or not 1 <= self.latents <= MAX_LATENTS:
            raise InputError(f"modulations: expected 1 to {MAX_LATENTS} latents, got {quoted(self.latents)}")

    @property
    def shifts(self) -> int:
        """Number of shifted neurons: those of all layers but the last."""
        return self.mlp.width * (self.mlp.layers - 1)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the shared parameters by name: the MLP's, then M (shifts, d)."""
        return self.mlp.shapes() | {MODULATION: (self.shifts, self.latents)}

    def dtypes(self) -> dict[str, np.dtype]:
        """Dtypes by name: float32."""
        return dict.fromkeys(self.shapes(), np.dtype(np.float32))

    @property
    def num_params(self) -> int:
        """Number of shared parameters."""
        return self.mlp.num_params + self.shifts * self.latents

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Initial parameters: those of the MLP, and M with PyTorch's default for a linear layer."""
        bound = 1 / math.sqrt(self.latents)
        return {
            **self.mlp.init(rng),
            MODULATION: rng.uniform(-bound, bound, (self.shifts, self.latents)).astype(np.float32),
        }

    def function(self, xp: ModuleType, device: object = None) -> Callable[[Params, AnyArray], AnyArray]:
        """``f(params, coords) -> values``, with latents (d,) among `params`, or (n, d) for each sample's own."""
        apply = self.mlp.function(xp, device)

        def f(params: Params, coords: AnyArray) -> AnyArray:
            shifts = xp.matmul(params[LATENTS], params[MODULATION].mT)
            return apply(self.shifted(params, shifts), coords)

        return f

    def adapted(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the parameters adapted to a signal: the latents."""
        return {LATENTS: (self.latents,)}

    def shifted(self, params: Params, shifts: AnyArray) -> dict[str, AnyArray]:
        """Parameters of the MLP, with shifts (..., shifts) added to the biases."""
        width = self.mlp.width
        biases = {
            f"layers.{i}.bias": params[f"layers.{i}.bias"] + shifts[..., i * width : (i + 1) * width]
            for i in range(self.mlp.layers - 1)
        }
        return {**params, **biases}

    def describe(self) -> str:
        """One-line description for users."""
        return f"{self.mlp.describe()}, shifted by {self.latents} latents"

    # -- the header of a file

    def to_header(self) -> list[Cbor]:
        """``[3, d, MLP]``."""
        return [self.ID, self.latents, self.mlp.to_header()]

    @classmethod
    def from_header(cls, value: object, max_params: int = MAX_PARAMS) -> Modulated:
        """Inverse of `to_header`; nothing is allocated. Errors as in `MLP.from_header`."""
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) != 3 or value[0] != cls.ID:
            raise MalformedError(
                "field header: a modulated network is a list of its id, a number of latents and an MLP"
            )
        mlp = MLP.from_header(value[2], max_params)
        latents = value[1]
        return built(lambda: cls(mlp, latents), max_params)


@dataclass(frozen=True)
class Modulations(FieldDefaults):
    """A signal as latents of a `Modulated` network: one set for the whole, or one for each patch (COIN++, section 2.4).

    Patches are boxes with a fixed number of samples along each axis, in C order; the last may extend beyond the signal.
    Each patch has its own coordinates over [-1, 1]. The position of a sample determines its patch.

    Parameters
    ----------
    network, shared
        The field shared by all signals, and its parameters.
    sizes, patch
        Samples along each axis of the signal, and of a patch; both empty without patches.
    recorded
        Whether a file has the latents as a tensor record, instead of levels of the base.
    model
        Quantisation and coding of the base's latents; required for reading a file.

    Raises
    ------
    InputError
        Sizes above `MAX_SIDE`, or not one for each coordinate.
    """

    network: Modulated
    shared: Params = field(compare=False, repr=False)
    sizes: tuple[int, ...] = ()
    patch: tuple[int, ...] = ()
    recorded: bool = False
    model: LatentModel | None = field(default=None, compare=False, repr=False)

    ID: ClassVar[int] = 4
    RECORDED_ID: ClassVar[int] = 6
    #: Positions in patches are computed in float64, which many accelerators lack.
    ON_DEVICES: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if len(self.sizes) != len(self.patch) or len(self.sizes) not in (0, self.network.in_features):
            raise InputError("patches: expected a length for every axis of the signal, or none")
        for n in (*self.sizes, *self.patch):
            if type(n) is not int or not 1 <= n <= MAX_SIDE:
                raise InputError(f"patches: expected 1 to {MAX_SIDE} samples along an axis, got {quoted(n)}")

    @property
    def in_features(self) -> int:
        """Number of coordinates a."""
        return self.network.in_features

    @property
    def out_features(self) -> int:
        """Number of values b."""
        return self.network.out_features

    @property
    def width(self) -> int:
        """Neurons a hidden layer."""
        return self.network.width

    @property
    def widest(self) -> int:
        """Numbers of a sample: its shifts in all layers."""
        return max(self.network.shifts, self.network.mlp.widest)

    @property
    def counts(self) -> tuple[int, ...]:
        """Patches along each axis."""
        return tuple(-(-n // k) for n, k in zip(self.sizes, self.patch))

    @property
    def patches(self) -> int:
        """Number of patches, each with a set of latents."""
        return math.prod(self.counts)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape (m, d) of the latents."""
        return {LATENTS: (self.patches, self.network.latents)}

    def dtypes(self) -> dict[str, np.dtype]:
        """Float32 for the latents."""
        return {LATENTS: np.dtype(np.float32)}

    @property
    def num_params(self) -> int:
        """Number of latents of the signal."""
        return self.patches * self.network.latents

    @property
    def work(self) -> int:
        """Multiply-adds a sample."""
        return self.network.num_params

    @property
    def neurons(self) -> int:
        """Those of the shared network."""
        return self.network.neurons

    def decoder(self, params: Params) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """``f(coords (n, a)) -> values (n, b)``, on NumPy; thread-safe."""
        latents = np.asarray(params[LATENTS])
        apply, whole = self.network.mlp.function(np), self.network.function(np)

        def decode(coords: NDArray[np.float32]) -> NDArray[np.float32]:
            if not self.patch:
                return whole({**self.shared, LATENTS: latents[0]}, coords)
            rows, local = self.located(coords)
            met, which = np.unique(rows, return_inverse=True)
            # all samples of a patch have the same shifts
            shifts = (latents[met] @ self.shared[MODULATION].T)[which]
            return apply(self.network.shifted(self.shared, shifts), local)

        return decode

    def located(self, coords: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Coords (n, a) in the signal -> patch indices (n,), and coordinates (n, a) in the patches."""
        places = (coords.astype(np.float64) + 1) * self.sizes / 2 / self.patch
        with np.errstate(invalid="ignore"):
            numbers = np.clip(np.nan_to_num(np.floor(places)), 0, np.array(self.counts) - 1).astype(np.int64)
        return np.ravel_multi_index(tuple(numbers.T), self.counts), (2 * (places - numbers) - 1).astype(np.float32)

    def describe(self) -> str:
        """One-line description for users."""
        many = "x".join(map(str, self.counts))
        return f"{many} patches of {self.network.describe()}" if self.patch else self.network.describe()

    def to_header(self) -> list[Cbor]:
        """``[4, sizes...]``, or ``[6, sizes...]`` for recorded latents; everything else is in the base."""
        return [self.RECORDED_ID if self.recorded else self.ID, *self.sizes]


@dataclass(frozen=True)
class Difference(_AroundMLP):
    """An MLP whose parameters are stored as differences from those of a base (INRIC, section 3.4)."""

    mlp: MLP
    shared: Params = field(compare=False, repr=False)

    ON_DEVICES: ClassVar[bool] = True
    INTEGERS: ClassVar[bool] = False
    EXACT: ClassVar[bool] = True
    GROWS: ClassVar[bool] = False
    network_params: ClassVar[int] = 0

    @property
    def num_params(self) -> int:
        """Number of real parameters."""
        return self.mlp.num_params

    @property
    def widest(self) -> int:
        """Real numbers of a sample in the widest layer."""
        return self.mlp.widest

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """As in the MLP."""
        return self.mlp.shapes()

    def dtypes(self) -> dict[str, np.dtype]:
        """As in the MLP."""
        return self.mlp.dtypes()

    @property
    def work(self) -> int:
        """Multiply-adds a sample."""
        return self.mlp.work

    def of(self, params: Params) -> Self:
        """See `Field.of`."""
        return self

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Differences of 0."""
        return {name: np.zeros_like(value) for name, value in self.shared.items()}

    def centre(self, params: Mapping[str, Array], mean: NDArray[np.float32]) -> dict[str, Array]:
        """The parameters, unchanged: the base already has the mean of the signals."""
        return dict(params)

    def check(self, params: Params) -> None:
        """See `MLP.check`."""
        self.mlp.check(params)

    def whole(self, params: Params) -> dict[str, AnyArray]:
        """The sum of base and difference, in their dtype."""
        return {name: self.shared[name] + params[name] for name in self.shapes()}

    def function(self, xp: ModuleType, device: object = None) -> Callable[[Params, AnyArray], AnyArray]:
        """``f(differences, coords) -> values``; see `MLP.function`."""
        apply = self.mlp.function(xp, device)
        shared = {name: xp.asarray(value, device=device) for name, value in self.shared.items()}
        return lambda params, coords: apply({name: shared[name] + params[name] for name in shared}, coords)

    def decoder(self, params: Params) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """``f(coords (n, a)) -> values (n, b)`` on NumPy; see `MLP.decoder`."""
        return self.mlp.decoder(self.whole(params))

    def is_exact(self, params: Params) -> bool:
        """See `base.Exact`."""
        return self.mlp.is_exact(self.whole(params))

    def exact(self, xp: ModuleType, params: Params, device: object = None) -> Callable[[AnyArray], AnyArray]:
        """See `base.Exact`."""
        return self.mlp.exact(xp, self.whole(params), device)

    def describe(self) -> str:
        """One-line description for users."""
        return f"{self.mlp.describe()}, from a base"

    def to_header(self) -> list[Cbor]:
        """That of the MLP."""
        return self.mlp.to_header()


Shared = MLP | Modulated
"""The network of a base."""


def shared_from_header(value: object, max_params: int = MAX_PARAMS) -> Shared:
    """The network of a base, from its file's header; errors as in `MLP.from_header`."""
    of_latents = isinstance(value, list) and value[:1] == [Modulated.ID]
    return (Modulated if of_latents else MLP).from_header(value, max_params)


def beside(
    network: Shared,
    params: Params,
    sizes: tuple[int, ...] = (),
    patch: tuple[int, ...] = (),
    model: LatentModel | None = None,
) -> Modulations | Difference:
    """The field of a signal's own parameters beside a base, in patches if any."""
    if isinstance(network, Modulated):
        return Modulations(network, params, sizes, patch, model=model)
    return Difference(network, params)


def beside_from_header(
    value: object, network: Shared, params: Params, patch: tuple[int, ...] = (), model: LatentModel | None = None
) -> Modulations | Difference:
    """The same, from the header of a signal's file.

    Raises
    ------
    MalformedError
        The value does not describe a field beside this network.
    """
    if isinstance(network, MLP):
        if value != network.to_header():
            raise MalformedError("field header: expected the network of the base")
        return Difference(network, params)
    if type(value) is not list or not value or value[0] not in (Modulations.ID, Modulations.RECORDED_ID):
        raise MalformedError("field header: expected latents of the base")
    try:
        return Modulations(network, params, tuple(value[1:]), patch, value[0] == Modulations.RECORDED_ID, model)
    except InputError as error:
        raise MalformedError(f"field header: {error}") from error
