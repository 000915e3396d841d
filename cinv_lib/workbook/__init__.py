"""The workbook: exercises whose checks say what is wrong and why, predictions, progress.

>>> from cinv_lib.workbook import TODO, check, hint, predict, progress, reveal, solution
"""

from cinv_lib.workbook.desk import check, hint, progress, solution
from cinv_lib.workbook.guess import predict, reveal
from cinv_lib.workbook.todo import TODO

__all__ = ["TODO", "check", "hint", "predict", "progress", "reveal", "solution"]
