"""Contrastive inversion: students of CLIP that see through corruption.

    import cinv_lib as ci

The public names are listed in `__init__.pyi` beside this file; each is imported when it is used.
"""

import lazy_loader as lazy

__version__ = "0.2.0"

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
