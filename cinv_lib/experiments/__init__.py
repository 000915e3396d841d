"""The experiments of the paper, and ours: a module each, and in it the class that a profile has."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
