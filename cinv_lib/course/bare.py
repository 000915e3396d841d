"""A notebook without what it has printed and drawn: to take home, or to hand out."""

import copy

from nbformat import NotebookNode


def bare(notebook: NotebookNode) -> NotebookNode:
    """A copy without outputs and execution counts."""
    found = copy.deepcopy(notebook)
    for cell in found.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return found
