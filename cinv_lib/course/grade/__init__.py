"""A class's notebooks, tried on cases that nobody has seen: `python -m cinv_lib.course.grade`.

It protects against accidents, not malice: an answer shares a process with its judge. Whom you do
not trust, run in a container.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
