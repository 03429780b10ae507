"""Spectrograms of sounds."""

from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from sinr_codec.signals.audio_files import Sound, amplitudes
from sinr_codec.types import Array

_WINDOW: Final = 2048
_FLOOR_DB: Final = -100.0
# Colour map by level: dark blue, purple, orange, light yellow.
_COLOURS: Final = np.array(
    [(6, 8, 32), (58, 24, 110), (150, 40, 110), (226, 92, 64), (250, 176, 60), (252, 250, 200)], float
)


def spectrogram(sound: Sound | tuple[Array, int], width: int = 900, height: int = 360) -> Image.Image:
    """Spectrogram of the mean of a sound's channels, up to the Nyquist frequency.

    Colours span 0 to -100 dB relative to a sine at full scale.
    """
    samples, rate = sound
    wave = amplitudes(np.asarray(samples)).reshape(len(samples), -1).mean(axis=1)
    wave = np.pad(wave, _WINDOW // 2)
    taper = np.hanning(_WINDOW)
    first = np.linspace(0, len(wave) - _WINDOW, width).astype(int)
    frames = np.stack([wave[i : i + _WINDOW] for i in first]) * (taper * 2 / taper.sum())
    with np.errstate(divide="ignore"):
        level = 20 * np.log10(np.abs(np.fft.rfft(frames, axis=1)))
    unit = np.clip(1 - level / _FLOOR_DB, 0, 1) * (len(_COLOURS) - 1)
    rgb = np.stack([np.interp(unit, np.arange(len(_COLOURS)), channel) for channel in _COLOURS.T], -1)
    plane = Image.fromarray(rgb.transpose(1, 0, 2)[::-1].astype(np.uint8)).resize((width, height), Image.Resampling.BOX)
    left, bottom = 48, 20
    picture = Image.new("RGB", (left + width + 8, height + bottom + 6), "white")
    picture.paste(plane, (left, 6))
    draw = ImageDraw.Draw(picture)
    seconds = len(samples) / rate
    for i in range(5):
        y = 6 + height - 1 - i * (height - 1) // 4
        draw.line((left - 4, y, left, y), "black")
        draw.text((left - 6, y), f"{rate / 8000 * i:.3g} k", "black", anchor="rm" if i < 4 else "rt")
        x = left + i * (width - 1) // 4
        draw.line((x, height + 6, x, height + 10), "black")
        draw.text((x, height + 11), f"{seconds / 4 * i:.3g} s", "black", anchor="ma" if i < 4 else "ra")
    return picture
