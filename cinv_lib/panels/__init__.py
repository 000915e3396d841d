"""The interactive panels. Each is a plain `render` function and a widget around it."""

from cinv_lib.panels.corrupt import operator_panel, render_operator, upload_panel
from cinv_lib.panels.corruption import corruption_panel, render_corruption
from cinv_lib.panels.panel import Panel, choice, keep_pictures, slider
from cinv_lib.panels.quiz import Quiz, beat_the_encoder, render_question
from cinv_lib.panels.sphere import render_sphere, sphere_panel
from cinv_lib.panels.student import render_student, see_what_the_student_sees
from cinv_lib.panels.top3 import render_top3, three_best
from cinv_lib.panels.weights import (
    effective_number,
    hardest_negatives,
    render_weights,
    weights_panel,
)

__all__ = [
    "Panel",
    "Quiz",
    "beat_the_encoder",
    "choice",
    "corruption_panel",
    "effective_number",
    "hardest_negatives",
    "keep_pictures",
    "operator_panel",
    "render_corruption",
    "render_operator",
    "render_question",
    "render_sphere",
    "render_student",
    "render_top3",
    "render_weights",
    "see_what_the_student_sees",
    "slider",
    "sphere_panel",
    "three_best",
    "upload_panel",
    "weights_panel",
]
