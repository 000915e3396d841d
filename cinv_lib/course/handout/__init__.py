"""A teacher's folder: `python -m cinv_lib.course.handout DIR`.

Lessons without outputs, a key, notes, plans, and a test for before and after.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
