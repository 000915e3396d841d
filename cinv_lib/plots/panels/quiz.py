"""Beat the encoder (lesson 00): the reader and the models name the same corrupted pictures.

`Quiz` is the game without any widget: seeded, silent about an answer until the reader has guessed,
and counting for everyone only what the reader has guessed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ipywidgets as widgets
import pandas as pd
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from cinv_lib.data.image_set import ImageSet, to_float
from cinv_lib.operators.base import Operator
from cinv_lib.plots.panels import canvas, frames
from cinv_lib.plots.panels.panel import Shown

READER = "you"


@dataclass(frozen=True)
class Answer:
    """What was in the picture and what each player said (the reader first), as class names."""

    truth: str
    said: dict[str, str]

    def right(self, player: str) -> bool:
        return self.said[player] == self.truth


@dataclass
class Quiz:
    """Questions with a few names each; make one with `Quiz.ask`.

    Args:
        corrupted: the pictures that are asked about.
        names: what the reader can choose from, for each question.
    """

    corrupted: Float[Tensor, "Q 3 H W"]
    names: tuple[tuple[str, ...], ...]
    _clean: Float[Tensor, "Q 3 H W"] = field(repr=False)
    _truth: tuple[str, ...] = field(repr=False)
    _machines: dict[str, tuple[str, ...]] = field(repr=False)
    _guesses: list[str] = field(default_factory=list, repr=False)

    @classmethod
    def ask(
        cls,
        images: ImageSet,
        operator: Operator,
        models: Mapping[str, Callable[[Tensor], Tensor]],
        *,
        questions: int = 10,
        choices: int = 5,
        seed: int = 0,
    ) -> "Quiz":
        """Draw questions of different classes, corrupt them, and let the models answer.

        A model answers with the most probable of the names that the reader sees, so that all have
        the same choice.

        Args:
            models: name -> function of a corrupted batch (unclipped) that gives logits over all
                classes.
            questions: how many.
            choices: how many names each question has.

        Raises:
            ValueError: more questions or choices than there are classes, or fewer than two choices.
        """

        def named(labels: Tensor) -> tuple[str, ...]:
            return tuple(images.class_names[k] for k in labels.tolist())

        generator = torch.Generator().manual_seed(seed)
        present = images.labels.unique()
        if not 2 <= choices <= len(images.class_names) or not 1 <= questions <= len(present):
            raise ValueError(
                f"{questions} questions of {choices} choices: expected 1 to {len(present)} "
                f"questions (one for each class that is there) and 2 to {len(images.class_names)} "
                "choices"
            )
        picked, options = [], []
        asked = torch.randperm(len(present), generator=generator, device="cpu")[:questions]
        for label in present[asked]:
            those = (images.labels == label).nonzero()[:, 0]
            picked.append(those[torch.randint(len(those), (1,), generator=generator, device="cpu")])
            others = torch.randperm(len(images.class_names), generator=generator, device="cpu")
            drawn = torch.cat([label[None], others[others != label][: choices - 1]])
            options.append(drawn[torch.randperm(choices, generator=generator, device="cpu")])
        index, among = torch.cat(picked), torch.stack(options)
        clean = to_float(images.images[index])
        corrupted = operator(clean, generator)
        with torch.inference_mode():
            logits = {
                name: model(corrupted).cpu().gather(1, among) for name, model in models.items()
            }
        best = {name: z.argmax(1, keepdim=True) for name, z in logits.items()}
        said = {name: named(among.gather(1, place)[:, 0]) for name, place in best.items()}
        truth = named(images.labels[index])
        return cls(corrupted, tuple(map(named, among)), clean, truth, said)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def asked(self) -> int:
        """How many questions the reader has answered: the number of the present one."""
        return len(self._guesses)

    @property
    def finished(self) -> bool:
        return self.asked == len(self)

    def guess(self, name: str) -> Answer:
        """Answer the present question, and go on to the next.

        Raises:
            ValueError: the name is not one of the choices, or the quiz is over.
        """
        if self.finished:
            raise ValueError(f"guess {name!r}: all {len(self)} questions are answered")
        if name not in self.names[self.asked]:
            known = ", ".join(map(repr, self.names[self.asked]))
            raise ValueError(f"guess {name!r}: expected one of {known}")
        self._guesses.append(name)
        return self.answer(self.asked - 1)

    def answer(self, question: int) -> Answer:
        """What question number `question` was and what everyone said.

        Raises:
            LookupError: the reader has not answered it yet.
        """
        self._known(question)
        said = {READER: self._guesses[question]}
        said |= {player: answers[question] for player, answers in self._machines.items()}
        return Answer(self._truth[question], said)

    def clean(self, question: int) -> Float[Tensor, "3 H W"]:
        """The clean picture. Raises LookupError where the reader has not answered yet."""
        self._known(question)
        return self._clean[question]

    def _known(self, question: int) -> None:
        if not 0 <= question < self.asked:
            raise LookupError(
                f"question {question}: answers are known after the guess, so far for {self.asked}"
            )

    def score(self) -> pd.DataFrame:
        """Columns player, right, of, percent; only questions that the reader has answered count."""
        answers = [self.answer(question) for question in range(self.asked)]
        rows = []
        for player in (READER, *self._machines):
            right = sum(answer.right(player) for answer in answers)
            percent = 100 * right / self.asked if self.asked else float("nan")
            rows.append((player, right, self.asked, percent))
        return pd.DataFrame(rows, columns=["player", "right", "of", "percent"])


def render_question(quiz: Quiz, question: int) -> tuple[Image.Image, str]:
    """The picture and text of a question: before the guess A(x) alone, after it x beside it."""
    if question >= quiz.asked:
        picture = canvas.grid({"A(x)": [quiz.corrupted[question]]})
        *names, last = quiz.names[question]
        asked = f"{', '.join(names)} or {last}?"
        return picture, f"Question {question + 1} of {len(quiz)}: what is in this picture: {asked}"
    answer = quiz.answer(question)
    picture = canvas.grid({"A(x) and x": [quiz.corrupted[question], quiz.clean(question)]})
    marks = (
        f"{p}: {n} ({'right' if answer.right(p) else 'wrong'})" for p, n in answer.said.items()
    )
    score = ", ".join(f"{row.player} {row.right}" for row in quiz.score().itertuples())
    after = f"Right after {quiz.asked} of {len(quiz)} questions: {score}."
    return picture, f"It was: {answer.truth}.\n{'; '.join(marks)}.\n{after}"


class QuizPanel(Shown):
    """The quiz with buttons. Tab and Space are enough to play it, as the focus moves by itself."""

    def __init__(self, quiz: Quiz):
        self.quiz, self.question = quiz, 0
        wide = {"width": "auto", "align_self": "flex-start"}
        self.buttons = [widgets.Button(layout=wide) for _ in quiz.names[0]]
        self.next = widgets.Button(description="Next picture", layout=wide, button_style="primary")
        for button in self.buttons:
            button.on_click(self._guess)
        self.next.on_click(self._next)
        row = widgets.Layout(flex_flow="row wrap")
        super().__init__([widgets.Box(self.buttons, layout=row), self.next])
        self.redraw()

    def redraw(self) -> None:
        """Show the present question."""
        self.display(*render_question(self.quiz, self.question))
        guessed = self.question < self.quiz.asked
        for button, name in zip(self.buttons, self.quiz.names[self.question], strict=True):
            button.description, button.disabled = name, guessed
        self.next.disabled = not guessed or self.quiz.finished

    def film(self, folder: Path) -> dict[str, Any]:
        """The questions with their pictures and answers, for the script of a page."""
        played, asked = replace(self.quiz, _guesses=[]), []
        for question, names in enumerate(played.names):
            before, _ = render_question(played, question)
            answer = played.guess(names[0])
            after, _ = render_question(played, question)
            said = {player: name for player, name in answer.said.items() if player != READER}
            told = {"names": names, "truth": answer.truth, "said": said}
            pictures = {"before": before, "after": after}
            asked.append(told | {key: frames.save(p, folder)[0] for key, p in pictures.items()})
        black = float((played.corrupted == 0).all(1).float().mean())
        return {"questions": asked, "black": black}

    def _guess(self, button: widgets.Button) -> None:
        if self.question < self.quiz.asked:
            return  # a second click that was under way when the first one counted
        self.quiz.guess(button.description)
        self.redraw()
        self.next.focus()

    def _next(self, _button: widgets.Button) -> None:
        if self.question < self.quiz.asked and not self.quiz.finished:
            self.question += 1
            self.redraw()
            self.buttons[0].focus()


def beat_the_encoder(quiz: Quiz) -> QuizPanel:
    """Corrupted pictures, a few names each, and a running score against the models."""
    return QuizPanel(quiz)
