"""The workbook: exercises whose checks say what is wrong and why, predictions, progress.

>>> from cinv_lib.course.workbook import TODO, check, hint, predict, progress, reveal, solution
>>> from cinv_lib.course.workbook import mine
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
