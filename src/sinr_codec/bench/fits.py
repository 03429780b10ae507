"""Trained networks on disk, shared by all methods and experiments, found again by what they were made from."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sinr_codec.fields import Field
from sinr_codec.files import atomic_write
from sinr_codec.fit import FitConfig, fit, fit_many
from sinr_codec.progress import Listener
from sinr_codec.signals.base import Part
from sinr_codec.types import Array, Options, Params, PathLike


@dataclass(frozen=True)
class Fitted:
    """A trained network: its parameters, mean squared error in the units of [-1, 1], steps and seconds."""

    params: dict[str, Array]
    loss: float
    steps: int
    seconds: float
    key: str


def content_key(*parts: object) -> str:
    """A name for whatever follows from these parts: JSON values, bytes and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            part = np.ascontiguousarray(part).tobytes()
        text = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
        digest.update(len(text).to_bytes(8, "little") + text)
    return digest.hexdigest()[:32]


class Fits:
    """A folder of trained networks, a safetensors file each, named by a hash of signal, field and settings.

    A fit that was interrupted leaves a checkpoint there and goes on from it.
    """

    def __init__(self, folder: PathLike, device: str = "cpu") -> None:
        self.folder, self.device = Path(folder), device

    def path(self, key: str) -> Path:
        """Where the network of a key is kept."""
        return self.folder / f"{key}.safetensors"

    def get(
        self,
        source: str,
        part: Part,
        field: Any,
        settings: Options,
        seed: int = 0,
        params: Params | None = None,
        progress: Listener | None = None,
    ) -> Fitted:
        """The network of these settings, trained now where it was not before.

        Parameters
        ----------
        source
            Names the signal by its content (`content_key`).
        part, field
            What is fitted, and with which network.
        settings
            Of `fit.FitConfig`.
        seed
            Of the initial weights and the batches.
        params
            Weights to start from.
        progress
            As in `fit.fit`.
        """
        key = self.key(source, field, settings, seed, params)
        if (found := self.load(key)) is not None:
            return found
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / f"{key}.checkpoint"
        config = FitConfig(seed=seed, device=self.device, checkpoint=checkpoint, **settings)
        result = fit(field, part, config, params, progress)
        if result.interrupted:
            raise KeyboardInterrupt
        return self._save(Fitted(dict(result.params), result.loss, result.steps, result.seconds, key))

    def get_many(
        self,
        sources: Sequence[str],
        parts: Sequence[Part],
        field: Field,
        settings: Options,
        seed: int = 0,
        progress: Listener | None = None,
    ) -> list[Fitted]:
        """As `get` for signals of equal size, those that are not there yet trained as one batch (`fit.fit_many`)."""
        keys = [self.key(source, field, settings, seed) for source in sources]
        lacking = [i for i, key in enumerate(keys) if self.load(key) is None]
        config = FitConfig(seed=seed, device=self.device, **settings)
        for i, result in zip(lacking, fit_many(field, [parts[i] for i in lacking], config, progress)):
            self._save(Fitted(dict(result.params), result.loss, result.steps, result.seconds, keys[i]))
        return [fitted for fitted in map(self.load, keys) if fitted is not None]

    @staticmethod
    def key(source: str, field: Any, settings: Options, seed: int, params: Params | None = None) -> str:
        """Name of the network that follows from these."""
        start = [] if params is None else [*params, *params.values()]
        # compiled or not, a fit is the same but for the rounding of sums
        settled = {name: value for name, value in settings.items() if name != "compile"}
        return content_key(source, field.to_header(), settled, seed, *start)

    def keep(self, key: str, compute: Callable[[], Mapping[str, Array]], steps: int = 0) -> Fitted:
        """Parameters that cost time to compute, such as those of a pruned network: computed once for a key."""
        if (found := self.load(key)) is not None:
            return found
        began = time.perf_counter()
        params = dict(compute())
        return self._save(Fitted(params, 0.0, steps, time.perf_counter() - began, key))

    def _save(self, fitted: Fitted) -> Fitted:
        self.folder.mkdir(parents=True, exist_ok=True)
        metadata = {"loss": repr(fitted.loss), "steps": str(fitted.steps), "seconds": f"{fitted.seconds:.3f}"}
        with atomic_write(self.path(fitted.key)) as temporary:
            save_file({n: np.ascontiguousarray(w) for n, w in fitted.params.items()}, temporary, metadata)
        return fitted

    def load(self, key: str) -> Fitted | None:
        """The network of a key, or None where there is none, or only a damaged one."""
        try:
            with safe_open(self.path(key), "np") as file:
                about = file.metadata()
                params = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError):
            return None
        return Fitted(params, float(about["loss"]), int(about["steps"]), float(about["seconds"]), key)
