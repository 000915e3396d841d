"""The losses: Equations 1 to 4 and Appendix C."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
