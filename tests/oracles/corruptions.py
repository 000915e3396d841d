"""What imagecorruptions-imaug makes of two pictures: `python tests/oracles/corruptions.py` writes
`corruptions.npz` beside itself, which `tests/operators/corruptions/test_imagenet_c.py` compares
with the library.

That package needs numba and OpenCV with windows, so it is no requirement of the course. It has an
environment of its own:

    uv venv /tmp/oracle
    uv pip install --python /tmp/oracle imagecorruptions-imaug==1.1.5
    /tmp/oracle/bin/python tests/oracles/corruptions.py

The committed file is from Python 3.11, numpy 2.4.6, scipy 1.17.1, scikit-image 0.26.0, Pillow
13.0.0, OpenCV 5.0.0. It keeps one pixel in 4 of the small picture and one in 144 of the large one.
"""

from pathlib import Path

import numpy as np
import skimage.data

FILE = Path(__file__).with_suffix(".npz")

# Where it follows the published code. It does not for frost (other scale), elastic_transform (other
# algorithm), snow (not cut from the middle) and glass_blur (random numbers of its own).
FAITHFUL = (
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "defocus_blur",
    "motion_blur", "zoom_blur", "gaussian_blur", "fog", "brightness", "spatter", "contrast",
    "pixelate", "jpeg_compression", "saturate",
)  # fmt: skip


def pictures() -> dict[int, np.ndarray]:
    """Two pictures, uint8 (side, side, 3): 64 px of tiles, a ramp and grain; 224 px of a photo."""
    random = np.random.RandomState(0)
    tiles = np.kron(random.uniform(0, 160, (8, 8, 3)), np.ones((8, 8, 1)))
    ramp = np.linspace(0, 60, 64)[:, None, None]
    grain = random.uniform(0, 35, (64, 64, 3))
    photo = skimage.data.astronaut()[:224, 110:334]
    return {64: (tiles + ramp + grain).astype(np.uint8), 224: np.ascontiguousarray(photo)}


def kept(picture: np.ndarray, severity: int) -> np.ndarray:
    """The pixels that are compared: a lattice that moves with the severity, borders included."""
    step = 2 if len(picture) == 64 else 12
    return picture[severity % step :: step, (severity + 1) % step :: step]


def seed_of(name: str, severity: int) -> int:
    return 10 * FAITHFUL.index(name) + severity


def published(picture: np.ndarray, name: str, severity: int) -> np.ndarray:
    """The package's picture, uint8 (H, W, 3). It has the parameters for 224 px only."""
    import imagecorruptions

    seed = seed_of(name, severity)
    np.random.seed(seed)  # it draws from numpy's global state, and impulse_noise from a seed
    own = {"seed": seed} if name == "impulse_noise" else {}
    return imagecorruptions.corrupt(picture, severity=severity, corruption_name=name, **own)


def main() -> None:
    # as the change, in grey levels modulo 256: that packs better than the pictures
    changes = {
        str(side): np.stack(
            [
                [kept(published(picture, n, s), s) - kept(picture, s) for s in range(1, 6)]
                for n in FAITHFUL
            ]
        )
        for side, picture in pictures().items()
    }
    np.savez_compressed(FILE, **changes)
    print({side: change.shape for side, change in changes.items()}, FILE.stat().st_size)


if __name__ == "__main__":
    main()
