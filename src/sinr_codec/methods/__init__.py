"""All methods by name: how a network is trained, and how it is coded."""

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Final

from sinr_codec.errors import InputError, quoted
from sinr_codec.fields import FAMILIES, ReLU
from sinr_codec.methods import alternatives, coin, coinpp, direct, inric, pyramid, shacira, sinr, trained
from sinr_codec.methods.base import Coded, Method, ProtocolName, Task, Training
from sinr_codec.methods.coin import SINE
from sinr_codec.presets import PRESETS

_all = [
    Method("coin", "COIN, 16-bit floats", "own", SINE, coin.float16),
    Method("coin-fp32", "COIN, 32-bit floats", "own", SINE, coin.float32, 30.0),
    Method("minmax", "16-bit min-max + Brotli", "paper", SINE, direct.minmax),
    Method("direct", "scalar, planned", "own", SINE, direct.planned, 6.8),
    Method("trellis", "trellis, planned", "own", SINE, direct.trellis, 6.6),
    Method("rounded", "trellis, rounded for the outputs", "own", SINE, direct.Rounded("balanced"), 5.8),
    Method("rounded-best", "the same, with more steps", "own", SINE, direct.Rounded("best"), 5.6),
    Method("refitted", "trained on for fewer bytes, rounded", "own", SINE, direct.Refitted("balanced"), 4.6),
    Method("sinr", "SINR", "paper", SINE, sinr.Published(), 13.6),
    Method("inric", "INRIC, 8 bit", "own", SINE, inric.Inric(8), 7.0),
    Method("inric-7", "INRIC, 7 bit", "own", SINE, inric.Inric(7), 6.0),
    # SINR on top of INRIC, whose networks have an encoding and are trained with L1.
    Method("inric-pe", "INRIC, encoding + L1, 8 bit", "own", inric.PE, inric.Inric(8), 7.0),
    Method("inric-pe-minmax", "INRIC, encoding + L1, 16 bit", "paper", inric.PE, direct.minmax),
    Method("inric-pe-sinr", "INRIC + SINR", "paper", inric.PE, sinr.Published(), 13.6),
    Method("inric-pe-sinr-hidden", "INRIC + SINR, hidden layers", "paper", inric.PE, sinr.Published(hidden=True), 13.6),
    Method("sinr-hidden", "SINR, hidden layers", "paper", SINE, sinr.Published(hidden=True), 13.6),
    # SINR's codes under our coder, within the loss allowed to the other planned methods; and no dictionary at all, at
    # the quality of SINR as published.
    Method("sinr-planned", "SINR, hidden layers, our coder", "own", SINE, sinr.planned, 8.0),
    Method("sinr-rounded", "SINR, hidden layers, chosen for the outputs", "own", SINE, sinr.rounded, 7.0),
    Method("sinr-scalar", "scalar at SINR's quality", "own", SINE, sinr.scalar, 6.0),
    Method("pyramid", "pyramid of latents", "own", pyramid.TRAINING, pyramid.coded),
    Method("shacira", "SHACIRA", "own", shacira.GRID, shacira.latents),
    Method("shacira-sinr-planned", "SHACIRA, network by SINR", "own", shacira.GRID, shacira.latents_sinr_planned),
    Method("shacira-minmax", "SHACIRA, 16 bit", "paper", shacira.GRID, shacira.latents_minmax),
    Method("shacira-sinr", "SHACIRA + SINR", "paper", shacira.GRID, shacira.latents_sinr),
    Method("shacira-sinr-hidden", "SHACIRA + SINR, hidden layers", "paper", shacira.GRID, shacira.latents_sinr_hidden),
    Method("shacira-24", "SHACIRA, its 24 levels", "own", shacira.PUBLISHED_GRID, shacira.latents),
    # Methods that start from a base (`Training.base`).
    Method("coinpp", "COIN++", "own", coinpp.TRAINING, coinpp.levels),
    Method("coinpp-direct", "COIN++, scalar, our coder", "own", coinpp.TRAINING, coinpp.Planned()),
    Method("coinpp-sinr-planned", "COIN++, SINR, our coder", "own", coinpp.TRAINING, coinpp.Planned("gaussian")),
    Method("coinpp-dct-planned", "COIN++, cosines, our coder", "own", coinpp.TRAINING, coinpp.Planned("dct")),
    Method("coinpp-minmax", "COIN++, 16 bit", "paper", coinpp.TRAINING, coinpp.minmax),
    Method("coinpp-sinr", "COIN++ + SINR", "paper", coinpp.TRAINING, coinpp.Published()),
    Method("coinpp-dct", "COIN++ + cosines", "paper", coinpp.TRAINING, coinpp.Published("dct")),
]
for _training, _of in ((inric.META, "INRIC from a base"), (inric.META_PE, "INRIC with encoding from a base")):
    _all += [
        Method(_training.name, f"{_of}, 7 bit", "own", _training, inric.Inric(7)),
        Method(f"{_training.name}-direct", f"{_of}, scalar", "own", _training, direct.planned),
        Method(f"{_training.name}-sinr-planned", f"{_of}, SINR, our coder", "own", _training, sinr.planned),
        Method(f"{_training.name}-minmax", f"{_of}, 16 bit", "paper", _training, direct.minmax),
        Method(f"{_training.name}-sinr", f"{_of} + SINR", "paper", _training, sinr.Published()),
        Method(
            f"{_training.name}-sinr-hidden", f"{_of} + SINR, hidden", "paper", _training, sinr.Published(hidden=True)
        ),
    ]
# Refinement at equal bytes.
for _bits in (4, 5, 6):
    _all += [
        Method(f"direct-refined-{_bits}", f"scalar, refined, {_bits} bits", "own", SINE, direct.refined(_bits), _bits),
        Method(f"sinr-refined-{_bits}", f"SINR, refined, {_bits} bits", "own", SINE, sinr.refined(_bits), _bits),
    ]
# Trained from scratch for the code, at equal bytes.
for _bits in (4, 5, 6):
    _sparse = trained.SparseFromTheStart(_bits)
    _all += [
        Method(f"rated-{_bits}", f"trained for {_bits} bits, rounded", "own", SINE, trained.Rated(_bits), _bits),
        Method(f"sinr-trained-{_bits}", f"SINR from the start, {_bits} bits", "own", SINE, _sparse, _bits),
    ]
# Variants of the published code. They code the hidden layers only, so that the first and last layer do not dominate.
_VARIANTS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("flat", "flattened, k2 = 8,192", {"k2": 8192, "flatten": True}),
    ("sign", "random signs", {"kind": "sign"}),
    ("hadamard", "Hadamard blocks", {"kind": "hadamard"}),
    *((f"seed-{seed}", f"seed {seed}", {"seed": seed}) for seed in (1, 2, 3)),
    *((f"{bits}bit", f"{bits}-bit values", {"bits": bits}) for bits in (6, 8, 10, 12)),
    *((f"k2-{k2}", f"k2 = {k2:,}", {"k2": k2}) for k2 in (1024, 8192)),
)
for _name, _title, _options in _VARIANTS:
    _published = sinr.Published(hidden=True, **_options)
    _all.append(Method(f"sinr-{_name}", f"SINR, hidden layers, {_title}", "paper", SINE, _published, 13.6))

# The alternatives of section 3.2. Retrained networks are coded as in the paper, and by our best coder.
_CODERS: Final[tuple[tuple[str, str, ProtocolName, Callable[[Task], Coded], float], ...]] = (
    ("minmax", "16 bit", "paper", direct.minmax, 16.0),
    ("direct", "scalar", "own", direct.planned, 6.8),
)
for _coder, _of, _protocol, _code, _width in _CODERS:
    _all += [
        Method(f"l1-{text}-{_coder}", f"L1 {text}, {_of}", _protocol, alternatives.l1(float(text)), _code, _width)
        for text in ("1e-6", "1e-5", "1e-4")
    ]
    for _share in (30, 50, 70):
        _pruned = alternatives.Pruned(_share / 100)
        _title = f"{_share} % of weights pruned, {_of}"
        _all.append(Method(f"prune-{_share}-{_coder}", _title, _protocol, SINE, _code, _width, _pruned))
    for _share in (10, 25, 50):
        _pruned = alternatives.Pruned(_share / 100, neurons=True)
        _title = f"{_share} % of neurons pruned, {_of}"
        _all.append(Method(f"prune-rows-{_share}-{_coder}", _title, _protocol, SINE, _code, _width, _pruned))
for _k2 in (64, 128, 256):
    _learned = alternatives.Learned(alternatives.DictionaryLearning(_k2))
    _all.append(Method(f"dictionary-{_k2}", f"learned dictionary, k2 = {_k2}", "paper", SINE, _learned, 24.0))
for _share in (50, 75, 90):
    _learned = alternatives.Learned(alternatives.PrincipalComponents(_share / 100))
    _all.append(Method(f"pca-{_share}", f"PCA, {_share} % of the components", "paper", SINE, _learned, 20.0))

METHODS: Final = {method.name: method for method in _all}


def method_named(name: str) -> Method:
    """Look up a method; the `InputError` for an unknown name suggests similar ones."""
    found = METHODS.get(name) or _of_family(name)
    if found is None:
        near = get_close_matches(name.lower(), METHODS, 4) or ["coin", "inric", "sinr"]
        raise InputError(f"method: {quoted(name)} is none; expected {', '.join(near)}, ... (`sinr methods` lists all)")
    return found


def _of_family(name: str) -> Method | None:
    """The method that a family with a coder and sizes for a rate is by itself."""
    for family in FAMILIES.values():
        if family.name == name and family.coder is not None and family.sized is not None:
            fit = {preset.name: preset.fit for preset in PRESETS.values()}
            return Method(name, name, "own", Training(name, ReLU(), network=family.sized, fit=fit), family.code)
    return None


__all__ = ["METHODS", "Coded", "Method", "Task", "Training", "method_named"]
