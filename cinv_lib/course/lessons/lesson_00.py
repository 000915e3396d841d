"""Exercises of lesson 00: the cosine, and a question in words."""

import torch
import torch.nn.functional as F

from cinv_lib.course.workbook.exercise import Case, Exercise, Prediction, Wrong


def embeddings(generator: torch.Generator) -> list[Case]:
    """Two batches of embeddings, of several sizes; their rows are not unit vectors."""
    cases = []
    for n, d in ((1, 3), (4, 8), (6, 128)):
        a, b = (3 * torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in "ab")
        cases.append(Case(f"N = {n}, d = {d}", (a, b)))
    return cases


def pictures_and_captions(generator: torch.Generator) -> list[Case]:
    """Embeddings of N pictures and K captions; some captions are far longer than others."""
    cases = []
    for n, k, d in ((5, 3, 4), (20, 10, 16), (30, 100, 128)):
        pictures, captions = (torch.randn(rows, d, generator=generator) for rows in (n, k))
        captions = captions * torch.randn(k, 1, generator=generator).exp()
        cases.append(Case(f"{n} pictures, {k} captions, d = {d}", (pictures, captions)))
    return cases


# -- 0.1 ---------------------------------------------------------------------------------------
def my_cosine(a, b):
    return (a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1))


COSINE = Exercise(
    id="0.1",
    title="how near are two embeddings?",
    minutes=5,
    difficulty=1,
    stub="""
    def my_cosine(a, b):
        # a, b: (N, d). The cosine of row i of a and row i of b: N numbers.
        return TODO
    """,
    reference=torch.cosine_similarity,
    cases=embeddings,
    wrong=(
        Wrong(
            lambda a, b: (a * b).sum(dim=1),
            "that is the inner product alone: it grows with the lengths of the rows, "
            "and a cosine does not.",
        ),
        Wrong(
            lambda a, b: F.normalize(a, dim=1) @ F.normalize(b, dim=1).T,
            "you compared every row of a with every row of b, which gives N × N numbers; the "
            "exercise asks only for row i with row i.",
        ),
        Wrong(
            lambda a, b: torch.cosine_similarity(a, b, dim=0),
            "you went down the columns (dim 0), across pictures; an embedding is a row (dim 1).",
        ),
        Wrong(
            lambda a, b: torch.cosine_similarity(a, b).mean(),
            "you took the mean over the batch; here one number per row is asked for.",
        ),
        Wrong(
            lambda a, b: (a * b).sum(dim=1) / (a.square().sum(dim=1) * b.square().sum(dim=1)),
            "you divided by the squared lengths: the square roots are missing.",
        ),
        Wrong(
            lambda a, b: (a * b).sum() / (a.norm() * b.norm()),
            "that is one number for the whole batch: `sum` and `norm` need `dim=1` to work row by row.",
        ),
        Wrong(
            lambda a, b: a * b,
            "these are the products of single numbers: the inner product adds them up along each "
            "row, by `.sum(dim=1)`.",
        ),
        Wrong(
            lambda a, b: (a * b).sum(dim=1) / a.norm(dim=1) * b.norm(dim=1),
            "you divided by the length of a and multiplied by that of b: put the product of both "
            "lengths in brackets.",
        ),
        Wrong(
            lambda a, b: (a - b).norm(dim=1),
            "that is the distance between the two rows: it is 0 where they agree, and it depends "
            "on their lengths.",
        ),
    ),
    alternative=lambda a, b: torch.einsum("nd,nd->n", F.normalize(a), F.normalize(b)),
    hints=(
        "The cosine of two vectors is their inner product, divided by both of their lengths.",
        "`(a * b).sum(dim=1)` is one inner product per row; `a.norm(dim=1)` is the length of each row.",
        "`(a * b).sum(dim=1) / (a.norm(dim=1) * b.norm(dim=1))`.",
    ),
    solution=my_cosine,
    why="A cosine sees the direction of an embedding and not its length: 1 means the same "
    "direction, 0 means a right angle. The common wrong turn is to forget to divide by the "
    "lengths. A picture with a long embedding then looks near to everything.",
)


# -- 0.2 ---------------------------------------------------------------------------------------
def nearest_caption(pictures, captions):
    pictures = pictures / pictures.norm(dim=1, keepdim=True)
    captions = captions / captions.norm(dim=1, keepdim=True)
    return (pictures @ captions.T).argmax(dim=1)


def _reference(pictures, captions):
    return torch.cosine_similarity(pictures[:, None], captions[None], dim=2).argmax(dim=1)


CAPTION = Exercise(
    id="0.2",
    title="ask a CLIP in words",
    minutes=6,
    difficulty=2,
    stub="""
    def nearest_caption(pictures, captions):
        # pictures: (N, d), captions: (K, d). For each picture the number, 0 to K - 1, of the
        # caption whose embedding has the largest cosine to the picture's.
        return TODO
    """,
    reference=_reference,
    cases=pictures_and_captions,
    wrong=(
        Wrong(
            lambda pictures, captions: (pictures @ captions.T).argmax(dim=1),
            "the captions are not normalised, so a long one wins too often: compare cosines. (The "
            "pictures' lengths do not matter here. Do you see why?)",
        ),
        Wrong(
            lambda pictures, captions: (pictures @ F.normalize(captions).T).argmax(dim=0),
            "you asked each caption for its picture (dim 0); each picture has to find "
            "its caption (dim 1).",
        ),
        Wrong(
            lambda pictures, captions: (F.normalize(pictures) @ F.normalize(captions).T).amax(
                dim=1
            ),
            "that is the cosine to the nearest caption; the exercise asks for the caption's "
            "number, so take `argmax`, not `max`.",
        ),
        Wrong(
            lambda pictures, captions: F.normalize(pictures) @ F.normalize(captions).T,
            "these are all the cosines: the number of the largest in each row is asked for, by "
            "`.argmax(dim=1)`.",
        ),
        Wrong(
            lambda pictures, captions: (pictures @ F.normalize(captions).T).argmin(dim=1),
            "that is the farthest caption: the nearest caption has the largest cosine.",
        ),
        Wrong(
            lambda pictures, captions: torch.cdist(pictures, captions).argmin(dim=1),
            "you compared distances of rows that are not normalised, so a short caption wins too often.",
        ),
    ),
    # the pictures' lengths scale a whole row of cosines, and leave its largest where it is
    alternative=lambda pictures, captions: (pictures @ F.normalize(captions).T).argmax(dim=1),
    hints=(
        "First compute the cosine of every picture with every caption: a matrix (N, K).",
        "If all rows have length 1, this matrix is one matrix product, `pictures @ captions.T`; "
        "`captions / captions.norm(dim=1, keepdim=True)` has such rows.",
        "`.argmax(dim=1)` gives, for each row (a picture), the column of its largest entry.",
    ),
    solution=nearest_caption,
    why="This is the whole classifier of CLIP: captions take the place of a trained layer, and no "
    "label is needed. The common wrong turn is not to divide by the captions' lengths: one long "
    "caption then wins for every picture. The pictures' lengths do no harm, as they scale all "
    "cosines of a picture alike.",
)

EXERCISES = (COSINE, CAPTION)

PREDICTIONS = (
    Prediction(
        "0.A",
        "The student sees these six pictures with 90 % of their pixels black. What is the mean "
        "cosine of S(A(x)) to R(x), to one decimal?",
        tolerance=0.1,
        digits=1,
    ),
    Prediction(
        "0.B",
        "At which of these shares of missing pixels is the student's answer nearest to R(x)?",
        options=("0 %", "50 %", "90 %"),
    ),
)
