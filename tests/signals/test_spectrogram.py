"""Pictures of sounds."""

import numpy as np
import pytest

from sinr_codec.signals import audio
from sinr_codec.signals.audio_files import Sound
from sinr_codec.signals.spectrogram import spectrogram


def tone(share, count=8000):
    """A sine at a share of half the rate."""
    return 0.5 * np.sin(np.pi * share * np.arange(count))


@pytest.mark.parametrize("share", [0.1, 0.25, 0.7])
def test_a_spectrogram_shows_the_tone(share):
    plane = np.asarray(spectrogram(Sound(tone(share), 8000), 300, 200).convert("L"))
    column = plane[6:206, 200]
    assert abs(int(column.argmax()) - 200 * (1 - share)) <= 2  # counted from below
    assert np.median(column) < 60


def test_channels_are_averaged_and_integers_count_in_full_scales():
    both = np.stack([tone(0.25), tone(0.25)], 1)
    wanted = np.asarray(spectrogram((both[:, 0], 8000), 200, 100))
    assert np.array_equal(np.asarray(spectrogram((both, 8000), 200, 100)), wanted)
    coarse = np.asarray(spectrogram(((both * 2**31).astype(np.int32), 8000), 200, 100)).astype(int)
    assert np.abs(coarse - wanted).max() <= 1
    opposite = np.stack([tone(0.25), -tone(0.25)], 1)
    silent = np.asarray(spectrogram((opposite, 8000), 200, 100).convert("L"))[10:100, 52:240]
    assert np.ptp(silent) == 0


def test_it_is_where_the_guide_has_it():
    assert audio.spectrogram is spectrogram
