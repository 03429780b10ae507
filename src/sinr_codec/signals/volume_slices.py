"""Pictures of volumes: their middle slices."""

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sinr_codec.types import Array

if TYPE_CHECKING:
    from sinr_codec.signals.volume_files import Form

_GAP: Final = 4  # pixels between the slices of a picture


def slices(array: Array, form: "Form") -> Any:
    """The middle slices along each axis, side by side, as a Pillow image; the only slice of a flat volume.

    Grey levels span the 0.5th to the 99.5th percentile of the slices. Voxels have their true aspect ratio if the source
    records it. The later axis of a NIfTI slice points upwards.
    """
    from PIL import Image

    array, spacing = np.asarray(array), form.spacing
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
    low, high = np.percentile(np.concatenate([p[0].ravel() for p in planes]).astype(np.float64), (0.5, 99.5))
    least = min(min(rows, columns) for _, rows, columns in planes)
    pictures = []
    for plane, rows, columns in planes:
        grey = np.clip((plane.astype(np.float64) - low) / (high - low or 1.0), 0, 1)
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


def _pixels(count: int, stretch: float) -> int:
    """Pixels of an axis in a picture, bounded against wrong voxel sizes in a header."""
    return max(count, min(round(count * stretch), 1 << 12))
