from . import deep_decoder as deep_decoder
from . import interpolation as interpolation
from . import nonlocal_means as nonlocal_means
