"""The search for learning rates: what is tried, what is chosen, what a killed run keeps."""

from dataclasses import fields, replace
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cinv_lib.data.catalogue import load
from cinv_lib.evaluation import probe
from cinv_lib.evaluation.scores import evaluate_heads
from cinv_lib.experiments import rate_search
from cinv_lib.experiments.base import LOSS
from cinv_lib.experiments.controls import named
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import PROFILES, SMOKE, STICKERS, rates
from cinv_lib.losses.equations import parse as parse_loss
from cinv_lib.operators.basic import parse
from cinv_lib.paper import results

RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


def searched(score) -> pd.DataFrame:
    """The rows of one method whose score is a function of the rate."""
    rows = pd.DataFrame(columns=rate_search.COLUMNS)
    while (lr := rate_search.next_rate(rows, RATES)) is not None:
        assert lr not in set(rows.lr), "tried twice"
        rows.loc[len(rows)] = ["one", lr, float(score(lr))]
    return rows


@given(st.lists(st.floats(0, 100), min_size=5, max_size=5))
def test_the_chosen_rate_has_a_tried_one_on_either_side_unless_it_is_the_first_or_the_last(tops):
    rows = searched(lambda lr: tops[RATES.index(lr)])
    chosen = rate_search.chosen(rows)["one"]
    here = RATES.index(chosen)
    assert {RATES[i] for i in (here - 1, here + 1) if 0 <= i < 5} <= set(rows.lr)
    good = rows[rows.top1 >= rows.top1.max() - 1]
    assert chosen == good.lr.min()


@pytest.mark.parametrize(
    ("top1", "tried", "chosen"),
    [
        ({3e-4: 60, 1e-3: 70, 3e-3: 75, 1e-2: 20}, [1e-3, 3e-3, 1e-2], 3e-3),
        ({3e-4: 60, 1e-3: 70, 3e-3: 70.9, 1e-2: 20}, [1e-3, 3e-3, 3e-4], 1e-3),
        ({1e-4: 40, 3e-4: 80, 1e-3: 70, 3e-3: 60}, [1e-3, 3e-3, 3e-4, 1e-4], 3e-4),
    ],
)
def test_three_rates_bracket_and_of_rates_within_a_point_the_smallest_is_taken(top1, tried, chosen):
    rows = searched(top1.get)
    assert rows.lr.tolist() == tried and rate_search.chosen(rows)["one"] == chosen


@pytest.fixture
def asked(monkeypatch):
    """(training, start, pictures, learning rate) of each; none is made, and each scores 100 lr."""
    trained = []

    def train(kind):
        def made(first, images, op, *given, start=None):
            recipe = given[-2]
            trained.append((kind, (start or first).name, len(images), recipe.lr))
            model = SimpleNamespace(lr=recipe.lr)
            return SimpleNamespace(lr=recipe.lr, encoder=model, head=None), None

        return made

    def score(groups, *_):
        return pd.DataFrame({"top1": [100 * groups[0][0].lr]})

    monkeypatch.setattr(rate_search, "distill", train("distill"))
    monkeypatch.setattr(rate_search, "finetune", train("finetune"))
    monkeypatch.setattr(rate_search.probes, "train", lambda *_: None)
    monkeypatch.setattr(rate_search, "evaluate_heads", score)
    return trained


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("CINV_RUNS", str(tmp_path))
    return Lab("smoke", recorded=False)


def test_each_method_is_trained_from_its_start_on_its_pictures(lab, asked):
    entry = SMOKE["rate_search"]
    rows = lab.table("rate_search", seeds=[rate_search.SEED])
    methods = entry.operators["mask:0.9"]
    assert rows.method.unique().tolist() == list(methods)
    assert set(rows.lr) <= set(entry.rates) and len(rows) == len(asked)
    few, pool = 64, 32 * entry.pool.per_class
    assert {one[:3] for one in asked} == {
        ("distill", SMOKE.teacher, few),
        ("finetune", SMOKE.teacher, pool),
    }


@pytest.mark.parametrize(
    ("method", "kind", "start", "pictures"),
    [
        ("student", "distill", SMOKE.teacher, 64),
        ("baseline", "finetune", SMOKE.supervised, 64),
        ("baseline_r", "finetune", SMOKE.teacher, 64),
        ("baseline100", "finetune", SMOKE.supervised_narrow, 64),
        ("tower_student", "distill", SMOKE.supervised, 64),
        ("words_of_r", "finetune", SMOKE.teacher, 64),
        ("student_60000", "distill", SMOKE.teacher, 96),
        ("words_of_r_60000", "finetune", SMOKE.teacher, 96),
    ],
)
def test_every_method_that_can_be_searched_has_its_start_and_its_pictures(
    asked, monkeypatch, tmp_path, method, kind, start, pictures
):
    monkeypatch.setenv("CINV_RUNS", str(tmp_path))
    p = SMOKE.changed({"rate_search": {"operators": {"mask:0.9": (method,)}}})
    rows = Lab(p, recorded=False).table("rate_search", seeds=[rate_search.SEED])
    assert set(rows.method) == {method}
    assert {one[:3] for one in asked} == {(kind, start, pictures)}


def test_a_killed_search_trains_no_rate_twice_and_ends_with_the_same_rows(
    lab, asked, monkeypatch, tmp_path
):
    task, write = SMOKE["rate_search"].tasks(1)[0], rate_search.write_text
    whole = lab.table("rate_search", seeds=[task.seed])
    trained, killed_after = list(asked), 4
    assert 0 < (whole.method == "student").sum() < killed_after < len(whole) == len(trained)
    asked.clear()

    def killed(file, text):
        write(file, text)
        if len(asked) == killed_after:
            raise KeyboardInterrupt

    monkeypatch.setenv("CINV_RUNS", str(tmp_path / "again"))
    again = Lab("smoke", recorded=False)
    monkeypatch.setattr(rate_search, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        again.folder(task)
    monkeypatch.setattr(rate_search, "write_text", write)
    assert asked == trained[:killed_after]
    rows = again.table("rate_search", seeds=[task.seed])
    assert asked == trained
    pd.testing.assert_frame_equal(rows, whole)
    assert not (again.folder(task) / "rows.csv").exists()


def test_a_score_is_that_of_a_student_of_this_rate_and_its_probe(monkeypatch, tmp_path):
    """And of a classifier by its own head. Of the very models that it trained: one that is trained
    again may differ by rounding. All pictures are of the series of its seed."""
    monkeypatch.setenv("CINV_RUNS", str(tmp_path))
    made = {"distill": [], "finetune": [], "probe": []}

    def spy(name, function):
        def called(*handed, **start):
            made[name].append((handed, start.get("start"), function(*handed, **start)))
            return made[name][-1][-1]

        return called

    monkeypatch.setattr(rate_search, "distill", spy("distill", rate_search.distill))
    monkeypatch.setattr(rate_search, "finetune", spy("finetune", rate_search.finetune))
    monkeypatch.setattr(rate_search.probes, "train", spy("probe", probe.train))
    tried = (2e-3, 5e-3)
    asked = {"rates": tried, "val_per_class": 1, "realisations": 2}
    p = SMOKE.changed({"rate_search": asked}, redrawn=True)
    entry, lab = p["rate_search"], Lab(p, recorded=False)
    (task,), seed = entry.tasks(1), rate_search.SEED
    rows = lab.table("rate_search", seeds=[seed])
    assert list(zip(rows.method, rows.lr, strict=True)) == [
        (method, lr) for method in ("student", "words_of_r_60000") for lr in tried
    ]

    op, here = parse(task.operator), f"stickers-32@{seed}"
    train, pool, val = load(here, "train", 2), load(here, "train", 3), load(here, "val", 2)
    scored = val.per_class(1)
    assert len(scored) == 32 < len(val)
    found = []
    for lr, (handed, start, (S, _)), ((encoder, *fitted), _, head) in zip(
        tried, made["distill"], made["probe"], strict=True
    ):
        R, pictures, *settings = handed
        assert R.name == start.name == SMOKE.teacher
        assert torch.equal(pictures.images, train.images)
        assert settings == [op, parse_loss(LOSS), replace(entry.recipe, lr=lr), seed]
        assert encoder is S and torch.equal(fitted[0].images, train.images)
        assert torch.equal(fitted[0].labels, train.labels), "all labels, as people gave them"
        assert fitted[1:] == [op, entry.probe, seed]
        found.append((S, head))
    for lr, (handed, _, (classifier, _)) in zip(tried, made["finetune"], strict=True):
        start, pictures, *settings = handed
        assert start.name == SMOKE.teacher and torch.equal(pictures.images, pool.images)
        assert torch.equal(pictures.labels, named(lab.teacher, pool).labels)
        assert settings == [op, replace(entry.pool_recipe, lr=lr), seed]
        found.append((classifier.encoder, classifier.head))
    for top1, (encoder, head) in zip(rows.top1, found, strict=True):
        again = evaluate_heads([(encoder, {"": head})], scored, op, 2, 0, progress=False)
        assert len(again) == 2 and top1 == pytest.approx(again.top1.mean(), abs=1e-4)
    assert rows.top1.nunique() > 1 and (rows.top1 > 1).any(), "no score of chance throughout"


@pytest.mark.parametrize("p", PROFILES.values(), ids=lambda p: p.name)
def test_no_result_of_the_course_uses_its_seed_and_no_lesson_asks_for_it(p):
    searches = [entry for entry in p.entries if isinstance(entry, rate_search.RateSearch)]
    for search in searches:
        assert {task.seed for task in search.tasks(3)} == {rate_search.SEED}
        assert not search.lessons
    others = [entry for entry in p.entries if entry not in searches]
    assert all(task.seed < 3 for entry in others for task in entry.tasks(3))
    assert rate_search.SEED not in p.recorded


def test_the_rates_are_searched_with_the_recipes_in_use():
    entry = STICKERS["rate_search"]
    other = STICKERS["other_rates"]
    assert replace(entry, operators=other.operators) == rate_search.RateSearch(
        **{field.name: getattr(other, field.name) for field in fields(other)}
    )
    for name in ("student", "baseline", "baseline_r", "baseline100", "tower_student"):
        assert entry.recipe == replace(STICKERS[name].recipe_at("mask:0.9"), lr=entry.recipe.lr)
    for name in ("student_60000", "words_of_r_60000"):
        used = STICKERS[name]
        assert entry.pool_recipe == replace(used.recipe_at("mask:0.9"), lr=entry.pool_recipe.lr)
        assert (used.per_class, used.pictures) == (entry.pool.per_class, entry.pool.pictures)
    assert entry.probe == STICKERS["probe"].recipe


def test_the_lessons_read_what_was_tried():
    """Lessons 06 and 07: three rates or more of each method, and the one in use among them."""
    found = results.sweep()
    for method, rows in found.groupby("method"):
        used = rates.SEARCHED[method]["mask"]
        assert len(rows) >= 3 and rows.lr.is_unique and used in set(rows.lr)
        assert rows.top1.max() - rows.set_index("lr").top1[used] <= rate_search.WITHIN
    assert {"student", "baseline", "baseline100"} <= set(found.method)
    assert set(Lab("stickers").table("rate_search", "identity").method) == {"baseline"}


def test_a_best_rate_without_any_is_said_so():
    nan = float("nan")
    with pytest.raises(ValueError, match="no learning rate was tried"):
        results.best_rate(torch.tensor([1.0, 2.0]), torch.tensor([nan, nan]))


def test_the_search_has_a_seed_and_pictures_that_no_result_has():
    for op in STICKERS["rate_search"].operators:
        (task,) = [t for t in STICKERS["rate_search"].tasks(5) if t.operator == op]
        described = STICKERS.describe(task)
        assert described["seed"] == rate_search.SEED == 10
        assert described["needs"]["val"][0] == "stickers-100@10"


@pytest.mark.parametrize("operator", STICKERS["rate_search"].operators)
def test_the_rates_in_use_are_those_that_the_recorded_search_chose(operator):
    lab = Lab("stickers", recorded=True)
    kind = operator if set("|+") & set(operator) else operator.partition(":")[0]
    used = {method: of[kind] for method, of in rates.SEARCHED.items() if kind in of}
    found = {}
    for name in ("rate_search", "other_rates"):
        entry = lab.profile[name]
        if operator in entry.operators:
            place = lab.place(entry.task(operator, rate_search.SEED))
            found |= rate_search.chosen(pd.read_csv(lab.archive.path(**place) / f"{name}.csv"))
    assert found == used


@pytest.mark.parametrize("name", [*rates.SEARCHED, *rates.LIKE])
def test_a_training_has_the_rate_of_its_method_or_of_its_like(name):
    entry, like = STICKERS[name], rates.LIKE.get(name, name)
    for kind, rate in rates.SEARCHED[like].items():
        op = {"mask": "mask:0.9", "noise": "noise:0.5", "blur": "blur:2.57"}.get(kind, kind)
        assert entry.recipe_at(op).lr == rate


def test_a_mixture_has_its_own_rate_or_else_the_smallest_of_its_kinds():
    kinds = {"mask": 3e-3, "noise": 1e-3, "mask:0.5|noise:0.1": 1e-2}
    entry = replace(STICKERS["student"], rates=kinds)
    mixtures = ("mask:0.5|noise:0.1", "mask:0.5|noise:0.3", "noise:0.3@0.5+blur:2", "blur:2")
    assert [entry.recipe_at(op).lr for op in mixtures] == [1e-2, 1e-3, 1e-3, entry.recipe.lr]
