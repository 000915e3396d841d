"""The reader's desk: check an answer, ask for a hint or the solution, see how far one has come.

Everything is shown as rich HTML, or as plain text; nothing here raises what an answer raises.
"""

from typing import Any

from IPython.display import display

from cinv_lib.course import ending  # noqa: F401  (a lesson that misses something ends quietly)
from cinv_lib.course.workbook import exercise as book
from cinv_lib.course.workbook import my_course, progress_record, withheld
from cinv_lib.course.workbook.grade import Grade, grade
from cinv_lib.course.workbook.page import Page

STARS = {1: "easy", 2: "medium", 3: "hard"}


def check(id: str, answer: Any) -> Any:
    """Say case by case what is right and what is wrong with an answer; return what to go on with.
    A right answer is kept in my_course.py, from which `mine` takes it.

    Returns:
        The answer where it is right and usable. Else the library's own, so that the cells below
        run whatever stands here.

    Raises:
        KeyError: there is no such exercise.
    """
    exercise = book.find(id)
    graded = grade(exercise, answer)
    entry = progress_record.load()["exercises"].get(id, {})
    if graded.state != "todo":

        def note(entry: dict) -> None:
            entry["attempts"] = entry.get("attempts", 0) + ("solved" not in entry)
            if graded.state == "right":
                entry.setdefault("solved", progress_record.now())

        entry = progress_record.change("exercises", id, note)
    page = report(graded, hints_used=entry.get("hints", 0))
    if graded.state == "right" and graded.usable:
        page.line(my_course.keep(exercise, answer) or f"Kept in {my_course.place().name}.")
        display(page)
        return answer
    display(page)
    return exercise.reference if exercise.is_function else exercise.reference()


def report(graded: Grade, hints_used: int = 0) -> Page:
    """What `check` shows of a grade."""
    exercise = graded.exercise
    name, minutes = exercise.heading, f"{exercise.minutes} min"
    help = f'`hint("{exercise.id}")`'
    if graded.state == "todo":
        page = Page(f"{name} not attempted yet")
        return page.line(
            f"{STARS[exercise.difficulty]}, {minutes}. Replace `TODO` and run the cell. "
            f"Help: {help}. The cells below go on with the library's own."
        )
    right = sum(outcome.state == "right" for outcome in graded.outcomes)
    if graded.state == "right":
        page = Page(f"{name} right, {right} of {len(graded.outcomes)} cases", "right")
        page.items(outcome.label for outcome in graded.outcomes if outcome.label)
        if not graded.usable:
            page.line("The cells below go on with the library's own, which gives a tensor.")
        return page.folded("Why it is so", exercise.why, exercise.solution_source)
    page = Page(f"{name} not yet right, {right} of {len(graded.outcomes)} cases", "wrong")
    for outcome in graded.outcomes:
        page.line(f"{outcome.label}: {outcome.detail}".strip(": "), f"{outcome.state}:")
    if graded.cause:
        page.line(graded.cause, "Likely cause:")
    if hints_used < len(exercise.hints):
        page.line(f"{help} gives hint {hints_used + 1} of {len(exercise.hints)}.", "Next:")
    else:
        page.line(f'all hints are given; `solution("{exercise.id}")` explains it.', "Next:")
    return page


def hint(id: str) -> None:
    """Show the next hint of an exercise, with those given before; there are three."""
    exercise = book.find(id)

    def note(entry: dict) -> None:
        entry["hints"] = min(len(exercise.hints), entry.get("hints", 0) + 1)

    given = progress_record.change("exercises", id, note)["hints"]
    page = Page(f"{exercise.heading} hint {given} of {len(exercise.hints)}")
    for number, text in enumerate(exercise.hints[:given], start=1):
        page.line(text, f"{number}.")
    if given == len(exercise.hints):
        page.line(f'There are no more; `solution("{id}")` explains it.')
    display(page)


def solution(id: str) -> None:
    """Show the solution, folded, with why it is so and the common wrong turn."""
    exercise = book.find(id)
    title = f"{exercise.heading} solution"
    if closed := withheld.page(title):
        return display(closed)
    progress_record.change("exercises", id, lambda entry: entry.update(solution=True))
    page = Page(title)
    page.folded("Open the solution", exercise.why, exercise.solution_source)
    page.text_parts += [*exercise.solution_source.splitlines(), "", exercise.why]
    display(page)


def progress() -> None:
    """Show what is done: exercises, hints, predictions by lesson, minutes left, what is next."""
    display(progress_page())


def progress_page() -> Page:
    """What `progress` shows."""
    known = progress_record.load()
    done, guessed = known["exercises"], known["predictions"]
    rows, open_ = [], []
    for lesson in book.lessons():
        exercises, predictions = book.of_lesson(lesson), book.predictions_of_lesson(lesson)
        unsolved = [e for e in exercises if "solved" not in done.get(e.id, {})]
        open_ += unsolved
        asked = [done.get(e.id, {}) for e in exercises]
        points = sum(guessed.get(p.id, {}).get("points", 0) for p in predictions)
        row = [lesson, f"{len(exercises) - len(unsolved)} of {len(exercises)}"]
        row += [str(sum(entry.get(key, 0) for entry in asked)) for key in ("hints", "solution")]
        row += [f"{points:g} of {len(predictions)}", f"{sum(e.minutes for e in unsolved)} min"]
        rows.append(row)
    count = sum(len(book.of_lesson(lesson)) for lesson in book.lessons())
    title = f"Your progress: {count - len(open_)} of {count} exercises"
    page = Page(title, "todo" if open_ else "right")
    page.table(["lesson", "solved", "hints", "solutions seen", "predictions", "left"], rows)
    left, upcoming = sum(e.minutes for e in open_), next(iter(open_), None)
    if upcoming:
        page.line(f"{upcoming.id}, {upcoming.title} ({upcoming.minutes} min).", "Next:")
    hours, minutes = divmod(left, 60)
    return page.line(f"{hours} h {minutes} min." if hours else f"{minutes} min.", "Left:")
