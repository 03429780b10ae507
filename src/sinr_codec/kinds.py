"""The documented door for kinds of signal in other packages: all that a `Kind` is made of.

A kind on a regular grid has a subclass of `GridSpec` and one of `GridSignal`; any other kind has the methods of `Spec`
and `Signal`. Its package registers it by an entry point of the group `sinr_codec.kinds` (docs/guide/kinds.md) and
tests it with `sinr_codec.testing.KindContract`.
"""

from sinr_codec.errors import InputError, MalformedError, MissingExtraError
from sinr_codec.fields import (
    MLP,
    AxisOctaves,
    Fourier,
    Gaussian,
    HashGrid,
    Identity,
    Octaves,
    Radiance,
    RadianceGrid,
    ReLU,
    RotatedOctaves,
    Sine,
    Wire,
)
from sinr_codec.files import atomic_write
from sinr_codec.signals.base import Fields, MeanOfErrors, Part, Quality, SampledPart, Signal, Spec
from sinr_codec.signals.cut import Blocking, Cut
from sinr_codec.signals.formats import Library, checked
from sinr_codec.signals.grammar import Range, RangeLike, Region, RegionLike, Scale, ScaleLike, Size, SizeLike
from sinr_codec.signals.grid import Grid
from sinr_codec.signals.grids import GridSignal, GridSpec
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.levels import Levels, max_error, psnr
from sinr_codec.signals.lossless import pack, unpack
from sinr_codec.signals.recipe import Recipe, octaves, rotated_octaves

__all__ = [
    "MLP",
    "AxisOctaves",
    "Blocking",
    "Cut",
    "Fields",
    "Fourier",
    "Gaussian",
    "Grid",
    "GridSignal",
    "GridSpec",
    "HashGrid",
    "Identity",
    "InputError",
    "Kind",
    "Levels",
    "Library",
    "MalformedError",
    "MeanOfErrors",
    "MissingExtraError",
    "Octaves",
    "Part",
    "Quality",
    "Radiance",
    "RadianceGrid",
    "Range",
    "RangeLike",
    "ReLU",
    "Recipe",
    "Region",
    "RegionLike",
    "RotatedOctaves",
    "SampledPart",
    "Scale",
    "ScaleLike",
    "Signal",
    "Sine",
    "Size",
    "SizeLike",
    "Spec",
    "Wire",
    "atomic_write",
    "checked",
    "max_error",
    "octaves",
    "pack",
    "psnr",
    "rotated_octaves",
    "unpack",
]
