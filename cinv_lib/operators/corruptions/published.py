"""The published strengths: 19 types, 5 severities, for pictures of 224, 64 and 32 pixels.

From github.com/hendrycks/robustness, ImageNet-C/create_c: make_imagenet_c.py (224 px, ImageNet-C),
make_tinyimagenet_c.py (64 px, Tiny-ImageNet-C) and make_cifar_c.py (32 px, CIFAR-10-C).
"""

import math

SIDES = (224, 64, 32)


def _scaled(side: int, *shares: tuple[float | int, ...]) -> tuple[tuple[float | int, ...], ...]:
    """Lengths that are published as shares of a side."""
    return tuple(tuple(side * share for share in row) for row in shares)


# name: (what its numbers are, the numbers of severities 1 to 5 for each side). A type takes them
# as keyword arguments of these names, and says there what they do.
# fmt: off
TABLE = {
    # ---- noise; on the scale where white is 1
    "gaussian_noise": ("sigma", {
        224: (.08, .12, .18, .26, .38), 64: (.04, .08, .12, .15, .18),
        32: (.04, .06, .08, .09, .10)}),
    "shot_noise": ("photons", {
        224: (60, 25, 12, 5, 3), 64: (250, 100, 50, 30, 15), 32: (500, 250, 100, 75, 50)}),
    "impulse_noise": ("share", {
        224: (.03, .06, .09, .17, .27), 64: (.01, .02, .05, .08, .14),
        32: (.01, .02, .03, .05, .07)}),
    "speckle_noise": ("sigma", {
        224: (.15, .2, .35, .45, .6), 64: (.15, .2, .25, .3, .35), 32: (.06, .1, .12, .16, .2)}),
    # ---- blur; in pixels
    "defocus_blur": ("radius edge", {
        224: ((3, .1), (4, .5), (6, .5), (8, .5), (10, .5)),
        64: ((.5, .6), (1, .1), (1.5, .1), (2.5, .01), (3, .1)),
        32: ((.3, .4), (.4, .5), (.5, .6), (1, .2), (1.5, .1))}),
    "glass_blur": ("sigma reach rounds", {
        224: ((.7, 1, 2), (.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        64: ((.1, 1, 1), (.5, 1, 1), (.6, 1, 2), (.7, 2, 1), (.9, 2, 2)),
        32: ((.05, 1, 1), (.25, 1, 1), (.4, 1, 1), (.25, 1, 2), (.4, 1, 2))}),
    "motion_blur": ("radius sigma", {
        224: ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
        64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
        32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))}),
    "zoom_blur": ("stop step", {
        224: ((1.11, .01), (1.16, .01), (1.21, .02), (1.26, .02), (1.31, .03)),
        64: ((1.06, .01), (1.11, .01), (1.16, .01), (1.21, .01), (1.26, .01)),
        32: ((1.06, .01), (1.11, .01), (1.16, .01), (1.21, .01), (1.26, .01))}),
    "gaussian_blur": ("sigma", {
        224: (1, 2, 3, 4, 6), 64: (.5, .75, 1, 1.25, 1.5), 32: (.4, .6, .7, .8, 1)}),
    # ---- weather
    "snow": ("mean spread size threshold radius sigma kept", {
        224: ((.1, .3, 3, .5, 10, 4, .8), (.2, .3, 2, .5, 12, 4, .7), (.55, .3, 4, .9, 12, 8, .7),
              (.55, .3, 4.5, .85, 12, 8, .65), (.55, .3, 2.5, .85, 12, 12, .55)),
        64: ((.1, .2, 1, .6, 8, 3, .8), (.1, .2, 1, .5, 10, 4, .8), (.15, .3, 1.75, .55, 10, 4, .7),
             (.25, .3, 2.25, .6, 12, 6, .65), (.3, .3, 1.25, .65, 14, 12, .6)),
        32: ((.1, .2, 1, .6, 8, 3, .95), (.1, .2, 1, .5, 10, 4, .9),
             (.15, .3, 1.75, .55, 10, 4, .9), (.25, .3, 2.25, .6, 12, 6, .85),
             (.3, .3, 1.25, .65, 14, 12, .8))}),
    "frost": ("kept ice scale", {
        224: ((1, .4, 1), (.8, .6, 1), (.7, .7, 1), (.65, .7, 1), (.6, .75, 1)),
        64: ((1, .3, .3), (.9, .4, .3), (.8, .45, .3), (.75, .5, .3), (.7, .55, .3)),
        32: ((1, .2, .2), (1, .3, .2), (.9, .4, .2), (.85, .4, .2), (.75, .45, .2))}),
    "fog": ("amount decay", {
        224: ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        64: ((.4, 3), (.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
        32: ((.2, 3), (.5, 3), (.75, 2.5), (1, 2), (1.5, 1.75))}),
    "brightness": ("added", {
        224: (.1, .2, .3, .4, .5), 64: (.1, .2, .3, .4, .5), 32: (.05, .1, .15, .2, .3)}),
    "spatter": ("mean spread sigma threshold amount mud", {
        224: ((.65, .3, 4, .69, .6, 0), (.65, .3, 3, .68, .6, 0), (.65, .3, 2, .68, .5, 0),
              (.65, .3, 1, .65, 1.5, 1), (.67, .4, 1, .65, 1.5, 1)),
        64: ((.62, .1, .7, .7, .6, 0), (.65, .1, .8, .7, .6, 0), (.65, .3, 1, .69, .6, 0),
             (.65, .1, .7, .68, .6, 1), (.65, .1, .5, .67, .6, 1)),
        32: ((.62, .1, .7, .7, .5, 0), (.65, .1, .8, .7, .5, 0), (.65, .3, 1, .69, .5, 0),
             (.65, .1, .7, .69, .6, 1), (.65, .1, .5, .68, .6, 1))}),
    # ---- digital
    "contrast": ("factor", {
        224: (.4, .3, .2, .1, .05), 64: (.4, .3, .2, .1, .05), 32: (.75, .5, .4, .3, .15)}),
    "elastic_transform": ("strength sigma tilt", {
        # 244 for 224 is the published code's own slip
        224: _scaled(244, (2, .7, .1), (2, .08, .2), (.05, .01, .02), (.07, .01, .02),
                     (.12, .01, .02)),
        64: _scaled(64, (0, 0, .08), (.05, .3, .06), (.1, .08, .06), (.1, .03, .03),
                    (.16, .03, .02)),
        32: _scaled(32, (0, 0, .08), (.05, .2, .07), (.08, .06, .06), (.1, .04, .05),
                    (.1, .03, .03))}),
    "pixelate": ("factor", {
        224: (.6, .5, .4, .3, .25), 64: (.9, .8, .7, .6, .5), 32: (.95, .9, .85, .75, .65)}),
    "jpeg_compression": ("quality", {
        224: (25, 18, 15, 10, 7), 64: (65, 58, 50, 40, 25), 32: (80, 65, 58, 50, 40)}),
    "saturate": ("factor added", {
        224: ((.3, 0), (.1, 0), (2, 0), (5, .1), (20, .2)),
        64: ((.3, 0), (.1, 0), (2, 0), (5, .1), (30, .2)),
        32: ((.3, 0), (.1, 0), (1.5, 0), (2, .1), (2.5, .2))}),
}
# fmt: on


def published_side(side: int) -> int:
    """Which published set is nearest, in ratio, to pictures of this many pixels: 224, 64 or 32."""
    return min(SIDES, key=lambda known: abs(math.log(known / side)))


def parameters(name: str, side: int) -> tuple[dict[str, float | int], ...]:
    """The five severities of a type, each as {what it is: number}, from the nearest published side.

    Raises ValueError for a name that is not there, or a side below 1.

    >>> parameters("glass_blur", 64)[4]
    {'sigma': 0.9, 'reach': 2, 'rounds': 2}
    """
    if name not in TABLE:
        raise ValueError(f"unknown corruption {name!r}; expected one of {', '.join(TABLE)}")
    if side < 1:
        raise ValueError(f"side is {side}; expected the shorter side of the pictures in pixels")
    labels, published = TABLE[name]
    rows = published[published_side(side)]
    keys = labels.split()
    return tuple(
        dict(zip(keys, row if isinstance(row, tuple) else (row,), strict=True)) for row in rows
    )
