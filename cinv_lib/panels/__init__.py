"""The interactive panels. Each is a plain `render` function and a widget around it."""

from cinv_lib.panels.corrupt import operator_panel, render_operator, upload_panel
from cinv_lib.panels.panel import Panel, choice, keep_pictures, slider
from cinv_lib.panels.quiz import Quiz, beat_the_encoder, render_question
from cinv_lib.panels.student import render_student, see_what_the_student_sees

__all__ = [
    "Panel",
    "Quiz",
    "beat_the_encoder",
    "choice",
    "keep_pictures",
    "operator_panel",
    "render_operator",
    "render_question",
    "render_student",
    "see_what_the_student_sees",
    "slider",
    "upload_panel",
]
