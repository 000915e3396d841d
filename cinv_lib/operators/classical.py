"""Forward operators beyond the paper's three: those that any course on inverse problems has.

What they measure is shown as a picture of the full size again, by the simplest way back: enlarged,
or by the adjoint. As of all operators, each image has its own severity, and 0 is the identity.
"""

import math

import torch

from cinv_lib.operators import functional, transforms
from cinv_lib.operators.base import Images, Operator, Rng, Severities


class SuperResolution(Operator):
    """A(x) = U M x: M is the mean over areas of s x s pixels, U repeats each mean over its area.

    The severity is the factor s: a side of n pixels has round(n / s), and at least one, on the way.
    Factors up to 1, as 0, leave the picture as it is. Common are 2, 4 and 8.

    Where s divides the sides, U is the pseudo-inverse of M, and A a projection. Where it does not,
    areas are of whole pixels, and overlap.
    """

    name = "super_resolution"
    limits = (0.0, math.inf)
    noisy = False

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        return functional.lower_resolution(x, severities)


class BicubicSuperResolution(Operator):
    """A(x) = U M x, with bicubic interpolation down (M, without aliasing) and up (U).

    The severity is the factor, as of `SuperResolution`. This is the usual test of super-resolution
    methods. It overshoots at edges, and is not clipped to [0,1].
    """

    name = "super_resolution_bicubic"
    limits = (0.0, math.inf)
    noisy = False

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        return functional.lower_resolution(x, severities, bicubic=True)


class BoxInpainting(Operator):
    """A(x) = m ⊙ x: one box of each image is 0, in all channels, at a random place within it.

    The severity p is the box's share of the area, as closely as whole rows and columns allow (they
    are in the picture's proportions): 0.25 is the usual half of each side.
    """

    name = "box_inpainting"
    limits = (0.0, 1.0)

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        keep = functional.box_keep(severities.to(x.device), *x.shape[-2:], generator)
        return x * keep.to(x.dtype)


class CompressedSensing(Operator):
    """A(x) = s ⊙ Dᵀ (k ⊙ D (s ⊙ x)): of an image with random signs s, a random part k of the
    coefficients of its orthonormal cosine transform D is measured. Here s is ±1 for each pixel, and
    s and k are the same for all three channels.

    The severity p is the share of coefficients that are missing, exactly int(H W p). What comes
    back is by the adjoint, which is the pseudo-inverse: a projection of the picture, about
    (1 - p) x + √(p (1 - p)) |x| z with z like noise. So it leaves [0,1], and is not clipped.
    """

    name = "compressed_sensing"
    limits = (0.0, 1.0)

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        b, _, height, width = x.shape
        severities = severities.to(x.device)
        missing = (severities.double() * (height * width)).long()
        signs = functional.uniform((b, 1, height, width), generator, x.device).round() * 2 - 1
        keep = functional.random_keep(missing, height, width, generator)
        sensed = transforms.sense(x, keep, signs)
        return torch.where((severities > 0).view(-1, 1, 1, 1), sensed, x)


class PoissonNoise(Operator):
    """A(x) = s n, with n ~ Poisson(x / s) photons in every pixel and channel: low light.

    The severity s is 1 / photons, the photons of a white pixel: 0.1 is ten of them. The mean is x
    and the variance s x; never clipped at 1. Below 0, as after noise in a mixture, is no light.

    Below 1e-7 the picture is left as it is: the noise would be less than a tenth of a grey level.
    The gradient is that of the mean, 1 (counts have none).
    """

    name = "poisson"
    limits = (0.0, math.inf)

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        s = severities.to(x).view(-1, 1, 1, 1)
        light, dim = x.clamp(min=0), s > 1e-7  # torch miscounts a hundred million photons
        photons = functional.poisson(light / torch.where(dim, s, 1), generator)
        return torch.where(dim, light + (s * photons - light).detach(), x)


class JPEG(Operator):
    """A(x): saved as a JPEG file, and read: in blocks of 8 x 8 pixels, coefficients of the cosine
    transform are rounded to multiples of steps that grow with the severity.

    The severity is 100 - quality, rounded to a whole quality from 100 to 1; colours are not
    subsampled. At severity 0 there is no file, and the picture is left as it is. A file has 8 bits
    for [0,1], so what leaves it is clipped. Gradients pass the roundings as if there were none.
    """

    name = "jpeg"
    limits = (0.0, 99.0)
    noisy = False

    def apply(self, x: Images, severities: Severities, generator: Rng = None) -> Images:
        severities = severities.to(x.device)
        read = transforms.jpeg(x, (100 - severities.double()).round())
        return torch.where((severities > 0).view(-1, 1, 1, 1), read, x)
