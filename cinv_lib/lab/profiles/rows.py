"""The operator of lesson 18: rows of a picture are lost, as from a sensor that drops lines.

It is loaded as a reader's own file is, see `operators.load_code`.
"""

import torch

import cinv_lib as ci


class Rows(ci.Operator):
    """Each row of each picture is black with the probability that the severity says."""

    name, limits = "rows", (0.0, 1.0)

    def apply(self, x, severities, generator=None):
        """A row is kept or lost in all channels at once."""
        keep = torch.rand(len(x), 1, x.shape[2], 1, generator=generator, device=x.device)
        return x * (keep >= severities.to(x).view(-1, 1, 1, 1))
