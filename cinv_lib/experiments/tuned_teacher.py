"""Students whose teachers are tuned along with them, beside one of a frozen teacher (lesson 14)."""

from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from cinv_lib.data.image_files import Pictures
from cinv_lib.data.image_set import ImageSet
from cinv_lib.encoders.encoder import Encoder
from cinv_lib.evaluation import statistics
from cinv_lib.evaluation.probe import Probe
from cinv_lib.evaluation.sentence import lead, sentence
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.loss_bias import Compared, Where, clean_each, keys_first, measure
from cinv_lib.training.tuned_teacher import turn

ARMS = {"tuned": "tuned teacher", "anchored": "anchored teacher"}


def against_frozen(scores: pd.DataFrame, severity: float, column: str) -> pd.DataFrame:
    """The students of ARMS against that of the frozen teacher at a severity, by the arms' names:
    difference (of cosines times 100), half_width, verdict as in `statistics.compare`."""
    rows = scores[(scores.model == "student") & (scores.severity == severity)]
    rows = rows.assign(matched=100 * rows.matched)
    each = {name: statistics.compare(rows, arm, "frozen", column) for arm, name in ARMS.items()}
    return pd.DataFrame.from_dict(each, orient="index")


def found(scores: pd.DataFrame, severity: float) -> str:
    """The sentence of lesson 14 on a teacher that is tuned along with its student."""
    words = scores[scores.model == "teacher"].groupby("method").words.mean()
    row = against_frozen(scores, severity, "probe").loc[ARMS["tuned"]]
    said = lead(
        "its student",
        "that of the frozen one",
        row.difference,
        row.half_width,
        scores.seed.nunique(),
    )
    knows = f"the tuned teacher names {words['tuned']:.0f} % of the clean pictures"
    knows += f" where the frozen one names {words['frozen']:.0f} %,"
    return sentence(knows, f"at {100 * severity:g} % missing {said}")


@dataclass(frozen=True, kw_only=True)
class TunedTeacher(Compared):
    """A student of a frozen teacher beside two whose teachers were tuned with them (lesson 14)."""

    name = "tuned_teacher"
    tables = MappingProxyType({"tuned_teacher": "%.5f"})

    def measure(
        self,
        task: Task,
        teacher: Encoder,
        student: Encoder,
        probe: Probe,
        tuned: tuple[Encoder, Encoder],
        anchored: tuple[Encoder, Encoder],
        train: Pictures,
        val: ImageSet,
    ) -> dict[str, pd.DataFrame]:
        """Students, and the teachers T that were tuned with them, which are shown clean pictures.

        Returns:
            method; model, "student" or "teacher" (at severity 0); and the columns of
            `loss_bias.measure`, compared with R; matched is the cosine to the arm's own T. The
            heads: "probe", fitted to this encoder under what it sees; "words", R's; "turned", R's
            words turned to where T has them (`training.tuned_teacher.turn`, from the clean training
            pictures, without labels).
        """
        fit, where = self.fit(task, student, probe, train), self.where(task, val)
        words = self.words(teacher, train)
        intact = Where(where.val, where.op.at(0.0), (0.0,), 1, where.seed)
        frames = []
        arms = {"frozen": (student, teacher), "tuned": tuned, "anchored": anchored}
        students, teachers = zip(*arms.values(), strict=True)
        (R, *by_T), (R_train, *by_T_train) = (
            clean_each([teacher, *teachers], pictures) for pictures in (where.val, train)
        )
        of_S, of_T = fit(students, where.op), fit(teachers, intact.op)
        clean_by_T = zip(by_T, by_T_train, strict=True)
        for (method, (S, T)), (seen_by_T, on_train), *probes in zip(
            arms.items(), clean_by_T, of_S, of_T, strict=True
        ):
            Q = turn(on_train, R_train)
            turned = Probe(words.weight.detach() @ Q.T, words.bias.detach(), normalise=True)
            looked = (("student", S, where), ("teacher", T, intact))
            for (model, encoder, seen), head in zip(looked, probes, strict=True):
                heads = {"probe": head, "words": words, "turned": turned}
                frame = measure(encoder, heads, R, seen, own=seen_by_T)
                frames.append(frame.assign(method=method, model=model))
        return {"tuned_teacher": keys_first(frames, ["method", "model"])}
