"""The search for learning rates: what is tried, what is kept of a killed run, what lessons read."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from cinv_lib.evaluation import probe, scores
from cinv_lib.experiments import learning_rates
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import PROFILES, SMOKE, STICKERS
from cinv_lib.operators.basic import parse
from cinv_lib.paper import results

ENTRY = SMOKE["learning_rates"]
(TASK,) = ENTRY.tasks(1)


@pytest.fixture
def asked(monkeypatch):
    """(method, start, learning rate) of every training; none is made, and each scores 100 lr."""
    trained = []

    def train(method):
        def made(start, train, op, *given):
            recipe = given[-2]
            trained.append((method, start.name, recipe.lr))
            model = SimpleNamespace(lr=recipe.lr)
            return SimpleNamespace(lr=recipe.lr, encoder=model, head=None), None

        return made

    def score(groups, *_):
        return pd.DataFrame({"top1": [100 * groups[0][0].lr]})

    monkeypatch.setattr(learning_rates, "distill", train("student"))
    monkeypatch.setattr(learning_rates, "finetune", train("baseline"))
    monkeypatch.setattr(learning_rates.probes, "train", lambda *_: None)
    monkeypatch.setattr(learning_rates, "evaluate_heads", score)
    return trained


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A lab that has made nothing, and reads what it makes."""
    monkeypatch.setenv("CINV_RUNS", str(tmp_path))
    return Lab("smoke", recorded=False)


def test_a_rate_on_both_sides_of_the_one_in_use_is_tried_once(lab, asked):
    rows = lab.table("learning_rates", seeds=[learning_rates.SEED])
    assert len(rows) == len(asked) == len(set(asked)) == 11
    assert list(zip(rows.method, rows.start, rows.lr, strict=True)) == asked
    assert rows.top1.tolist() == pytest.approx((100 * rows.lr).tolist())
    again = lab.table("learning_rates", seeds=[learning_rates.SEED])
    assert again.equals(rows) and len(asked) == 11, "what is there is not run again"
    in_use = {
        ("student", SMOKE.teacher): STICKERS["student"].recipe.lr,
        ("baseline", SMOKE.supervised): STICKERS["baseline"].recipe.lr,
        ("baseline", SMOKE.supervised_narrow): STICKERS["baseline100"].recipe.lr,
    }
    assert {(method, start) for method, start, _ in asked} == set(in_use)
    for which, lr in in_use.items():
        rates = [rate for method, start, rate in asked if (method, start) == which]
        assert min(rates) < lr < max(rates) and lr in rates


def test_a_killed_search_goes_on_and_trains_no_rate_twice(lab, asked, monkeypatch):
    whole, write = [], learning_rates.write_text

    def killed(file, text):
        write(file, text)
        if text.count("\n") == 1 + 6:  # six rows and their head
            raise KeyboardInterrupt

    monkeypatch.setattr(learning_rates, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        lab.folder(TASK)
    whole += asked
    assert len(whole) == 6
    monkeypatch.setattr(learning_rates, "write_text", write)
    rows = lab.table("learning_rates", seeds=[TASK.seed])
    assert len(asked) == len(set(asked)) == len(rows) == 11 and asked[:6] == whole
    assert rows.top1.tolist() == pytest.approx((100 * rows.lr).tolist())
    assert not (lab.folder(TASK) / "rows.csv").exists()


def test_the_lessons_read_the_narrow_start_as_another_baseline(lab, asked, monkeypatch):
    monkeypatch.setattr(results, "Lab", lambda *_, **__: lab)
    both = results.sweep("smoke", narrow=True)
    assert set(both.method) == {"student", "baseline", "baseline100"}
    assert len(both.query("method == 'baseline100'")) == 3
    main = results.sweep("smoke")
    assert list(main.columns) == list(both.columns) == ["method", "lr", "top1"]
    assert set(main.method) == {"student", "baseline"} and len(main) == 8
    assert len(asked) == 11


def test_a_score_is_that_of_a_student_of_this_rate_and_its_probe(lab, monkeypatch):
    """Of the very models that it trained: a student trained again may differ by rounding."""
    calls = {}

    def spy(name, function):
        def called(*given):
            made = function(*given)
            calls[name] = (given, made)
            return made

        return called

    monkeypatch.setattr(learning_rates, "distill", spy("student", learning_rates.distill))
    monkeypatch.setattr(learning_rates.probes, "train", spy("probe", probe.train))
    p = SMOKE.changed({"learning_rates": {"rates": (2e-3,), "narrow_rates": ()}})
    rows = Lab(p, recorded=False).table("learning_rates", seeds=[TASK.seed])
    assert rows.method.tolist() == ["student", "baseline"]

    op, val = parse(TASK.operator), lab.val.per_class(ENTRY.val_per_class)
    (_, train, *given), (S, _) = calls["student"]
    recipe = replace(ENTRY.student, lr=2e-3)
    assert given == [op, learning_rates.parse_loss(TASK.loss), recipe, TASK.seed]
    (encoder, *given), head = calls["probe"]
    assert encoder is S and given == [train, op, ENTRY.probe, TASK.seed]
    found = scores.evaluate_heads([(S, {"student": head})], val, op, ENTRY.realisations, 0)
    assert rows.top1[0] == pytest.approx(found.top1.mean(), abs=0.2)


@pytest.mark.parametrize("p", PROFILES.values(), ids=lambda p: p.name)
def test_no_result_of_the_course_uses_its_seed_and_no_lesson_asks_for_it(p):
    assert learning_rates.SEED == 10
    if "learning_rates" in p:
        assert {task.seed for task in p["learning_rates"].tasks(3)} == {learning_rates.SEED}
        assert not p["learning_rates"].lessons
    searches = ("learning_rates", "rate_search")
    others = [entry for entry in p.entries if entry.name not in searches]
    assert all(task.seed < 3 for entry in others for task in entry.tasks(3))


def test_the_rates_are_searched_with_the_recipes_in_use():
    entry = STICKERS["learning_rates"]
    assert entry.student == STICKERS["student"].recipe_at(*entry.operators)
    assert entry.baseline == STICKERS["baseline"].recipe_at(*entry.operators)
    assert entry.probe == STICKERS["probe"].recipe


def test_what_was_searched_before_is_kept():
    """Lesson 06 chose by these."""
    table = results.sweep("stickers").pivot(index="lr", columns="method", values="top1")
    assert table.shape == (4, 2) and not table.isna().any(axis=None)
    assert table.student.idxmax() == STICKERS["student"].recipe.lr
    assert table.baseline.idxmax() == STICKERS["baseline"].recipe.lr


def test_a_best_rate_without_any_is_said_so():
    nan = float("nan")
    with pytest.raises(ValueError, match="no learning rate was tried"):
        results.best_rate(torch.tensor([1.0, 2.0]), torch.tensor([nan, nan]))
