"""The types of the annotations that all corruptions share."""

import numpy as np
from jaxtyping import Float, UInt8

Picture = UInt8[np.ndarray, "H W 3"]
Levels = Float[np.ndarray, "H W 3"]  # grey levels, 0 to 255; `corrupt` clips and truncates them
Rng = np.random.Generator
Number = float | int
