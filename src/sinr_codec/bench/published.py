"""Published curves on the 24 Kodak pictures: mean PSNR in dB at mean bits a pixel, from the authors' own result files.

Where a comparison gives mean PSNR at round rates only (the classical codecs), the numbers are interpolated in log bpp.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Curve:
    """A codec's points (bpp, dB), and where they are from."""

    name: str
    points: tuple[tuple[float, float], ...]
    source: str


CURVES: Final = (
    Curve(
        "COIN (published)",
        ((0.0368, 22.41), (0.0736, 23.21), (0.1604, 24.64), (0.3074, 26.41), (0.6109, 28.41), (1.209, 30.64)),
        "EmilienDupont/coin, results.json",
    ),
    Curve(
        "COIN++ (published)",
        ((0.0666, 23.68), (0.1325, 24.93), (0.2659, 26.14), (0.3983, 27.03), (0.5366, 27.80)),
        "EmilienDupont/coinpp, results/kodak/coinpp.json",
    ),
    Curve(
        "INRIC, 8 bit (published)",
        ((0.0996, 25.64), (0.1879, 27.15), (0.2994, 28.41), (0.9463, 32.27)),
        "YannickStruempler/inr_based_compression, kodak_basic_8_bit.json",
    ),
    Curve(
        "INRIC, meta-learned (published)",
        ((0.083, 25.56), (0.155, 27.02), (0.249, 28.28), (0.784, 32.14)),
        "YannickStruempler/inr_based_compression, kodak_meta_learned_7_bit.json",
    ),
    Curve(
        "JPEG (published)",
        ((0.3, 25.97), (0.5, 28.95), (0.75, 31.06), (1.0, 32.59), (1.5, 34.95), (2.0, 36.82)),
        "InterDigitalInc/CompressAI, results/image/kodak/jpeg.json",
    ),
    Curve(
        "JPEG 2000 (published)",
        ((0.2, 27.81), (0.3, 29.21), (0.5, 31.27), (0.75, 33.19), (1.0, 34.71), (1.5, 37.01), (2.0, 38.72)),
        "InterDigitalInc/CompressAI, results/image/kodak/jpeg2000.json",
    ),
    Curve(
        "WebP (published)",
        ((0.3, 29.20), (0.5, 31.32), (0.75, 33.45), (1.0, 35.11), (1.5, 37.69), (2.0, 39.52)),
        "InterDigitalInc/CompressAI, results/image/kodak/webp.json",
    ),
    Curve(
        "BPG 4:4:4 (published)",
        (
            (0.1, 27.29),
            (0.2, 29.48),
            (0.3, 31.01),
            (0.5, 33.31),
            (0.75, 35.46),
            (1.0, 37.18),
            (1.5, 39.84),
            (2.0, 41.77),
        ),
        "InterDigitalInc/CompressAI",
    ),
    Curve(
        "VTM (published)",
        (
            (0.1, 28.17),
            (0.2, 30.49),
            (0.3, 32.08),
            (0.5, 34.37),
            (0.75, 36.58),
            (1.0, 38.24),
            (1.5, 40.72),
            (2.0, 42.55),
        ),
        "InterDigitalInc/CompressAI, results/image/kodak/vtm.json",
    ),
    Curve(
        "RECOMBINER (published)",
        ((0.1, 26.96), (0.2, 28.97), (0.3, 30.27), (0.5, 32.04), (0.75, 33.56)),
        "google-deepmind/c3_neural_compression, baselines/kodak.py",
    ),
    Curve(
        "C3, adaptive (published)",
        ((0.079, 27.03), (0.225, 30.49), (0.515, 34.37), (0.807, 37.06), (1.408, 40.88)),
        "google-deepmind/c3_neural_compression, baselines/kodak.py",
    ),
    Curve(
        "MSCN (published)",
        ((0.1, 26.22), (0.2, 28.06), (0.3, 29.19), (0.5, 30.05)),
        "google-deepmind/c3_neural_compression, baselines/kodak.py",
    ),
    Curve(
        "NIF (published)",
        ((0.3, 28.60), (0.5, 30.43), (0.75, 32.09), (1.0, 33.36), (1.5, 35.24), (2.0, 36.66)),
        "aegroto/nif, results/summaries/kodak/inr/nif.json",
    ),
    Curve(
        "VC-INR (published)",
        (
            (0.1, 27.45),
            (0.2, 29.41),
            (0.3, 30.64),
            (0.5, 32.20),
            (0.75, 33.54),
            (1.0, 34.50),
            (1.5, 36.45),
            (2.0, 38.10),
        ),
        "google-deepmind/c3_neural_compression, baselines/kodak.py",
    ),
    Curve(
        "COOL-CHIC v1 (published)",
        ((0.1, 26.44), (0.2, 28.53), (0.3, 30.00), (0.5, 32.31), (0.75, 34.51), (1.0, 36.45), (1.5, 39.66)),
        "google-deepmind/c3_neural_compression, baselines/kodak.py",
    ),
    Curve(
        "Cool-Chic 5.0.1 (published)",
        ((0.084, 27.44), (0.219, 30.86), (0.482, 34.52), (0.759, 37.25), (1.357, 41.17)),
        "Orange-OpenSource/Cool-Chic, results of version 5.0.1",
    ),
    Curve(
        "HM (published)",
        (
            (0.1, 27.23),
            (0.2, 29.46),
            (0.3, 30.97),
            (0.5, 33.25),
            (0.75, 35.46),
            (1.0, 37.11),
            (1.5, 39.74),
            (2.0, 41.66),
        ),
        "InterDigitalInc/CompressAI, results/image/kodak/hm.json",
    ),
    Curve(
        "AV1 (published)",
        (
            (0.1, 27.28),
            (0.2, 29.65),
            (0.3, 31.30),
            (0.5, 33.66),
            (0.75, 35.87),
            (1.0, 37.59),
            (1.5, 40.20),
            (2.0, 42.14),
        ),
        "InterDigitalInc/CompressAI, results/image/kodak/av1.json",
    ),
    Curve(
        "factorized prior (published)",
        ((0.2, 28.41), (0.3, 29.78), (0.5, 31.83), (0.75, 33.84), (1.0, 35.58), (1.5, 38.16)),
        "InterDigitalInc/CompressAI, compressai-bmshj2018-factorized_mse_cpu.json",
    ),
    Curve(
        "scale hyperprior (published)",
        ((0.2, 29.05), (0.3, 30.71), (0.5, 33.06), (0.75, 35.28), (1.0, 37.14), (1.5, 39.83)),
        "InterDigitalInc/CompressAI, compressai-bmshj2018-hyperprior_mse_cpu.json",
    ),
    Curve(
        "mean-scale hyperprior and context (published)",
        ((0.2, 29.91), (0.3, 31.54), (0.5, 33.83), (0.75, 36.03), (1.0, 37.77), (1.5, 40.29)),
        "InterDigitalInc/CompressAI, compressai-mbt2018_mse_cpu.json",
    ),
    Curve(
        "Cheng 2020, anchor (published)",
        ((0.2, 30.27), (0.3, 31.83), (0.5, 34.27), (0.75, 36.33)),
        "InterDigitalInc/CompressAI, compressai-cheng2020-anchor_mse_cpu.json",
    ),
    Curve(
        "ELIC (published)",
        ((0.2, 30.77), (0.3, 32.36), (0.5, 34.68), (0.75, 36.85)),
        "google-deepmind/c3_neural_compression, baselines/kodak.py",
    ),
)

PAPER: Final = (
    ("SINR", 1.7, 30.0),
    ("INRIC", 2.0, 30.0),
    ("COIN", 3.7, 30.0),
    ("COIN++", 1.5, 24.2),
    ("COIN++ + SINR", 1.0, 24.2),
)
"""What SINR's paper states of its Figures 3 and 4: (method, bpp, dB), all "about" (section 4.3)."""
