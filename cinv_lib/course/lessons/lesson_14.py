"""Exercises of lesson 14: open problems. Those on its teachers are in `teachers`."""

import torch

from cinv_lib import losses  # noqa: F401 - losses: for the solution of 14.3
from cinv_lib.course.lessons import teachers
from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong
from cinv_lib.evaluation import attack
from cinv_lib.experiments import blind


# -- 14.1 --------------------------------------------------------------------------------------
def scored(generator: torch.Generator) -> list[Case]:
    """Top-1 by operator: the specialist is ahead of the wrong one, the blind student anywhere."""
    cases = []
    for k in (1, 3, 5):
        wrong = 1 + 30 * torch.rand(k, generator=generator, dtype=torch.float64)
        own = wrong + 20 + 40 * torch.rand(k, generator=generator, dtype=torch.float64)
        share = torch.rand(k, generator=generator, dtype=torch.float64)
        share[0] += 1 + 0.1 * k  # of the first operator the blind student beats the specialist
        cases.append(Case(f"{k} operators", (wrong + share * (own - wrong), own, wrong)))
    return cases


def my_break_even(blind, own, wrong):
    return (blind - wrong) / (own - wrong)


BREAK_EVEN = Exercise(
    id="14.1",
    title="how good a router has to be",
    minutes=5,
    difficulty=2,
    stub="""
    def my_break_even(blind, own, wrong):
        # Top-1 by operator, tensors of one shape: of the blind student, of the operator's own
        # specialist, of a wrong one. The share of pictures that a router has to send to the right
        # specialist, so that its top-1 is the blind student's. (Its errors hit any picture alike.)
        return TODO
    """,
    reference=blind.break_even,
    cases=scored,
    wrong=(
        Wrong(
            lambda blind, own, wrong: blind / own,
            "pictures that are sent wrong are not all lost: the wrong specialist names some of "
            "them.",
        ),
        Wrong(
            lambda blind, own, wrong: (own - blind) / (own - wrong),
            "that is the share of pictures that may be sent wrong; the share that has to be sent "
            "right is 1 minus it.",
        ),
        Wrong(
            lambda blind, own, wrong: (blind - wrong) / own,
            "a picture that is sent right gains the difference between its own specialist and the "
            "wrong one: divide by that difference.",
        ),
        Wrong(
            lambda blind, own, wrong: ((blind - wrong) / (own - wrong)).clamp(0, 1),
            "do not cut the share at 0 and 1: a value above 1 says that no router can be worth "
            "it, and by how much it fails.",
        ),
        Wrong(
            lambda blind, own, wrong: (blind - wrong).mean() / (own - wrong).mean(),
            "you return one number for all operators; each operator has its own break-even.",
        ),
    ),
    alternative=lambda blind, own, wrong: 1 - (own - blind) / (own - wrong),
    hints=(
        "A share s of the pictures gets the top-1 of `own`, and the rest gets that of `wrong`.",
        "s own + (1 - s) wrong = blind. Solve for s.",
        "s (own - wrong) = blind - wrong.",
    ),
    solution=my_break_even,
    why="The router's top-1 is a straight line in the share of pictures that are sent right: it "
    "goes from the wrong specialist's top-1 to the right one's. The break-even is where this line "
    "crosses the blind student's top-1. A router whose errors fall on pictures that are lost "
    "anyway needs a smaller share. The common wrong turn is blind / own, as if a wrong specialist "
    "named no picture rightly.",
)


# -- 14.2 --------------------------------------------------------------------------------------
def on_the_way(generator: torch.Generator) -> list[Case]:
    """Pictures with numbers at 0 and 1, places in their ball, small gradients; a step can be as
    large as the ball is wide."""
    cases = []
    for budget, size in ((8 / 255, 2 / 255), (0.1, 0.15), (0.3, 0.3)):
        x = (1.4 * torch.rand(2, 3, 4, 4, generator=generator) - 0.2).clamp(0, 1)
        away = 2 * torch.rand(x.shape, generator=generator) - 1
        z = (x + budget * away).clamp(0, 1)
        gradient = 1e-3 * torch.randn(x.shape, generator=generator)
        cases.append(Case(f"budget {budget:.3f}, step {size:.3f}", (z, x, gradient, size, budget)))
    return cases


def my_step(z, x, gradient, size, budget):
    z = z + size * gradient.sign()
    return z.clamp(x - budget, x + budget).clamp(0, 1)


def _shrunk(z, x, gradient, size, budget):
    change = z + size * gradient.sign() - x
    longest = change.abs().amax(dim=(1, 2, 3), keepdim=True)
    return (x + change * (budget / longest).clamp(max=1)).clamp(0, 1)


STEP = Exercise(
    id="14.2",
    title="one step of an attack",
    minutes=6,
    difficulty=2,
    stub="""
    def my_step(z, x, gradient, size, budget):
        # z: (B, 3, H, W), where the attack on the pictures x is. gradient: of the loss at z.
        # Move every number of z by `size` in the direction that raises the loss; go back to within
        # `budget` of x, number by number; go back into [0,1].
        return TODO
    """,
    reference=attack.step,
    cases=on_the_way,
    wrong=(
        Wrong(
            lambda z, x, g, size, budget: (
                (z - size * g.sign()).clamp(x - budget, x + budget).clamp(0, 1)
            ),
            "your step makes the loss smaller: the attacker wants it to rise.",
        ),
        Wrong(
            lambda z, x, g, size, budget: (z + size * g).clamp(x - budget, x + budget).clamp(0, 1),
            "your step depends on how large the gradient is: with a gradient of .001 nearly "
            "nothing moves. Every number has to move by `size`, and only the gradient's sign "
            "counts.",
        ),
        Wrong(
            lambda z, x, g, size, budget: (z + size * g.sign()).clamp(0, 1),
            "nothing holds z near x: after some steps z is another picture.",
        ),
        Wrong(
            lambda z, x, g, size, budget: (
                (z + size * g.sign()).clamp(z - budget, z + budget).clamp(0, 1)
            ),
            "the ball is around x, not around z: a ball around z would move on at every step.",
        ),
        Wrong(
            lambda z, x, g, size, budget: (z + size * g.sign()).clamp(x - budget, x + budget),
            "some numbers have left [0,1]: no picture file can hold them.",
        ),
        Wrong(
            _shrunk,
            "you shrank the whole change until its largest number fits. The budget is for each "
            "number: cut those that exceed it, and leave the others.",
        ),
    ),
    alternative=lambda z, x, g, size, budget: torch.minimum(
        torch.maximum(z + size * torch.sign(g), (x - budget).clamp(min=0)),
        (x + budget).clamp(max=1),
    ),
    hints=(
        "There are three moves, one after the other. The first is `z + size * gradient.sign()`.",
        "`clamp` takes tensors too, so each number can have its own lower and upper end.",
        "The other two moves are `.clamp(x - budget, x + budget)`, and then `.clamp(0, 1)`.",
    ),
    solution=my_step,
    why="Each number may change by the budget and no more. A linear loss rises most if every "
    "number changes by the whole budget, and that is why the sign is taken. The two cuts are "
    "projections onto boxes that both contain x, so the second does not undo the first. The "
    "common wrong turn is to use the gradient itself: its size depends on the model, while the "
    "size of a step is for the attacker to choose.",
)


EXERCISES = (BREAK_EVEN, STEP, *teachers.EXERCISES)

PREDICTIONS = (
    Prediction(
        "14.A",
        "One student learns three operators, and each of three specialists learns one. How many "
        "points of top-1 does the one student lose against the specialists in the mean?",
        tolerance=2.0,
        digits=1,
    ),
    Prediction(
        "14.B",
        "90 % of the pixels are missing, and an attacker may change those that are left by 8 grey "
        "levels of 255. Who then names more: the student or the baseline?",
        options=("the student", "the baseline", "not decided"),
    ),
    *teachers.PREDICTIONS,
)
