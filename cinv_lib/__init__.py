"""Contrastive inversion: students of CLIP that see through corruption (one module, one idea)."""

__version__ = "0.1.0"
