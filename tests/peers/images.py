"""Images for the networks: zero-filled images of a data set's slices, at every stage of a scan."""

from pathlib import Path

import numpy as np
from PIL import Image

LEVELS_PER_RMS = 48
"""Steps of a quantised image in one root mean square, as `kscout_core::kspace` has it."""
LINES = [0.05, 0.1, 0.15, 0.25, 1.0]
"""Shares of the lines that are measured, from the centre out."""


def zero_filled(image: np.ndarray, lines: int) -> np.ndarray:
    """Magnitudes over their root mean square, from the `lines` central columns of k-space, on the steps of an int8 input."""
    kspace = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image), norm="ortho"))
    first = image.shape[1] // 2 - lines // 2
    mask = np.zeros(image.shape[1], bool)
    mask[first : first + lines] = True
    magnitude = np.abs(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace * mask), norm="ortho")))
    real = magnitude / np.sqrt(np.mean(magnitude**2))
    return np.minimum(np.floor(real * LEVELS_PER_RMS + 0.5), 255) / LEVELS_PER_RMS


def of_data_set(folder: Path, side: int, count: int, seed: int) -> np.ndarray:
    """`[count, 1, side, side]` in float32, of slices drawn from a folder that `kscout data` made."""
    files = sorted(folder.glob("*/images/*.png"))
    if not files:
        raise SystemExit(f"{folder}: no */images/*.png; give a folder that `kscout data` made")
    random = np.random.default_rng(seed)
    drawn = random.choice(len(files), size=count, replace=count > len(files))
    images = []
    for place, index in enumerate(drawn):
        image = np.asarray(Image.open(files[index])).astype(np.float64)
        if image.shape != (side, side):
            raise SystemExit(f"{files[index]}: {image.shape}, but the network takes {side}x{side}")
        if image.any():
            images.append(zero_filled(image, max(2, round(LINES[place % len(LINES)] * side))))
    return np.array(images, dtype=np.float32)[:, None]
