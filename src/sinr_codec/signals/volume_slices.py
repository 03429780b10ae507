"""Pictures of volumes: their middle slices."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sinr_codec.errors import InputError, quoted
from sinr_codec.types import Array

if TYPE_CHECKING:
    from sinr_codec.signals.volume_files import Form

_GAP: Final = 4  # pixels between the slices of a picture
_MOST_PIXELS: Final = 1 << 12
_PERCENTILES: Final = (0.5, 99.5)
_BACKGROUND: Final = 0.05  # of the range, at its lower end
_FENCE: Final = 1.5  # interquartile ranges


def slices(array: Array, form: "Form", window: Sequence[float] | None = None) -> Any:
    """The middle slices along each axis, side by side, as a Pillow image; the only slice of a flat volume.

    Voxels have their true aspect ratio if the source records it. The later axis of a NIfTI slice points upwards.

    Parameters
    ----------
    array
        The volume.
    form
        Shape, format and metadata of its source.
    window
        The values that are black and white, in units of the data (with the scaling of a NIfTI header). Default:
        `_contrast`.

    Raises
    ------
    InputError : no two finite numbers in ascending order
    """
    from PIL import Image

    planes = _planes(np.asarray(array), form)
    if window is None:
        low, high = _contrast(np.concatenate([plane.ravel() for plane, _, _ in planes]).astype(np.float64))
    else:
        slope, inter = form.scaling
        low, high = ((value - inter) / slope for value in checked_window(window))
    least = min(min(rows, columns) for _, rows, columns in planes)
    pictures = []
    for plane, rows, columns in planes:
        grey = np.clip((plane.astype(np.float64) - low) / ((high - low) or 1.0), 0, 1)
        picture = Image.fromarray(np.rint(255 * grey).astype(np.uint8))
        size = (_pixels(plane.shape[1], columns / least), _pixels(plane.shape[0], rows / least))
        pictures.append(picture if size == picture.size else picture.resize(size, Image.Resampling.BILINEAR))
    width = sum(picture.width + _GAP for picture in pictures) - _GAP
    sheet = Image.new(pictures[0].mode, (width, max(picture.height for picture in pictures)))
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, (sheet.height - picture.height) // 2))
        left += picture.width + _GAP
    return sheet


def checked_window(window: Sequence[float]) -> tuple[float, float]:
    """A window as two numbers; `InputError` if it is none."""
    numbers = [float(value) for value in window if isinstance(value, int | float | np.number)]
    if len(numbers) != 2 or len(window) != 2 or not -math.inf < numbers[0] < numbers[1] < math.inf:
        raise InputError(f"window {quoted(window)}: expected LOW,HIGH, two numbers in ascending order")
    return numbers[0], numbers[1]


def _planes(array: Array, form: "Form") -> list[tuple[Array, float, float]]:
    """The middle slices, and the sizes of a voxel along their rows and columns."""
    spacing = form.spacing
    if form.channels:
        array = array[..., :3] if form.channels in (3, 4) else array[..., 0]
    axes = list(range(len(form.sizes)))
    if len(axes) == 4:
        # Time is the last axis of NIfTI, and the first of a NumPy array.
        time = axes.pop(3 if form.is_nifti else 0)
        array = array.take(array.shape[time] // 2, axis=time)
        spacing = tuple(spacing[axis] for axis in axes)
    flat = [axis for axis in range(3) if array.shape[axis] == 1]
    planes = []
    for axis in flat[:1] or range(3):
        plane = array.take(array.shape[axis] // 2, axis=axis)
        rows, columns = (spacing[a] for a in range(3) if a != axis)
        if form.is_nifti:
            plane, rows, columns = plane.swapaxes(0, 1)[::-1], columns, rows
        planes.append((plane, rows, columns))
    return planes


def _contrast(samples: Array) -> tuple[float, float]:
    """Black and white for a picture: the 0.5th and 99.5th percentile, or where they are closer, the fences of Tukey.

    The fences, 1.5 interquartile ranges beyond the quartiles, are those of the samples that are not background (the
    lowest twentieth of the range). The few bright voxels of bones and vessels, and air, would leave soft tissue a few
    levels of grey, and hide what was lost there.
    """
    samples = samples[np.isfinite(samples)]
    low, high = np.percentile(samples, _PERCENTILES) if samples.size else (0.0, 1.0)
    body = samples[samples > low + _BACKGROUND * (high - low)]
    if body.size == 0:
        return low, high
    first, third = np.percentile(body, (25, 75))
    reach = _FENCE * (third - first)
    return (max(low, first - reach), min(high, third + reach)) if reach > 0 else (low, high)


def _pixels(count: int, stretch: float) -> int:
    """Pixels of an axis in a picture, bounded against wrong voxel sizes in a header."""
    return max(count, round(min(count * stretch, _MOST_PIXELS)))
