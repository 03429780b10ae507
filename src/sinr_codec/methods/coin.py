"""COIN (Dupont et al. 2021): a small SIREN, its weights in half precision."""

from typing import Final

import brotli
import numpy as np

from sinr_codec.coding.assembled import Plan, assemble
from sinr_codec.coding.tensor import Raw
from sinr_codec.fields import Sine
from sinr_codec.methods.base import Coded, Task, Training
from sinr_codec.types import Params

#: COIN's training: full batches at a constant rate. It takes half an hour per picture on a GPU.
SINE: Final = Training(
    "sine",
    Sine(30.0),
    published={"optimizer": "adam", "lr": 2e-4, "steps": 50_000, "batch": 1 << 40, "schedule": "constant"},
)


def float32(task: Task) -> Coded:
    """The weights unchanged, counted at 32 bits each, which is the size of a COIN without half precision.

    The figure "brotli_bytes" is their size under Brotli, which SINR's paper applies to every method.
    """
    words = b"".join(np.ascontiguousarray(w).tobytes() for w in task.params.values())
    return Coded(_raw(task.params), 4.0 * task.field.num_params, {"brotli_bytes": len(brotli.compress(words))})


def float16(task: Task) -> Coded:
    """Weights rounded to half precision: 16 bits a parameter, no entropy coder, no header (COIN, section 3).

    The file codes the rounded weights without loss. The unused bits of a rounded float32 cost almost nothing.
    """
    rounded = {name: w.astype(np.float16).astype(w.dtype) for name, w in task.params.items()}
    return Coded(_raw(rounded), 2.0 * task.field.num_params)


def _raw(params: Params) -> Plan:
    return assemble(params, {name: Raw() for name in params})
