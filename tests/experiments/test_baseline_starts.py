"""The baseline from another start: its place in the store, its scores, its learning rates."""

from dataclasses import replace

import pytest
import torch

from cinv_lib import encoders, evaluation, operators, paper, training
from cinv_lib.experiments import baseline_starts
from cinv_lib.lab import made, plan, profiles
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.plan import Task
from cinv_lib.paper import results
from data_prep import labelled, sweep

SMOKE, STICKERS = profiles.SMOKE, profiles.STICKERS
FIXED, RANGE = "blur:2.57", "noise:0.1..0.3"


@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


# -- the store -------------------------------------------------------------------------------------
@pytest.mark.parametrize("op", [FIXED, RANGE])
def test_only_what_starts_there_depends_on_the_second_start(op):
    other = replace(STICKERS, supervised_narrow="another", fitted_realisations=9)
    kinds = {k for k in made.BUILDS if made.spec(STICKERS, k, op) != made.spec(other, k, op)}
    assert kinds == {"baseline100", "starts", "fitted"}


def test_the_two_baselines_differ_by_their_start_alone():
    full, narrow = (made.spec(STICKERS, k, FIXED, 2) for k in ("baseline", "baseline100"))
    assert full.pop("init") == STICKERS.supervised
    assert narrow.pop("init") == STICKERS.supervised_narrow
    assert full == narrow


def test_a_baseline_starts_where_it_is_told(lab, monkeypatch):
    started = []

    def finetune(init, *_, **__):
        started.append(init.name)
        raise InterruptedError

    monkeypatch.setattr(training, "finetune", finetune)
    p = lab.profile
    for init in (None, p.supervised, p.supervised_narrow):
        with pytest.raises(InterruptedError):
            lab.baseline("mask:0.123", 0, init)
    assert started == [p.supervised, p.supervised, p.supervised_narrow]
    with pytest.raises(ValueError, match="'stickers-supervised' or 'stickers-100-supervised'"):
        lab.baseline("mask:0.123", 0, "stickers-clip")


def test_the_narrow_tower_knows_the_labelled_set_and_no_more():
    tower = labelled.TOWERS["100"]
    assert tower.name == STICKERS.supervised_narrow == tower.out.name
    assert (tower.data, tower.per_class) == (STICKERS.data, STICKERS.train_per_class)
    assert tower.recipe.epochs == 90, "Appendix D.5"
    wide, narrow = (encoders.load(t.name) for t in labelled.TOWERS.values())
    assert wide.config == narrow.config
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert not torch.allclose(wide(x), narrow(x), atol=0.1)


def test_what_lesson_07_asks_for_comes_after_its_trainings():
    op = next(iter(SMOKE.operators))
    assert Task("starts", RANGE, 1).after == (Task("baseline100", RANGE, 1),)
    assert {t.kind for t in Task("fitted", op).after} == {"baseline", "baseline100", "probe"}
    tasks = plan.tasks("smoke", 2)["07"]
    for seed in range(2):
        for wanted in SMOKE.starts:
            assert Task("starts", wanted, seed) in tasks


# -- the measurement -------------------------------------------------------------------------------
def test_severities_begin_at_the_hardest_that_was_seen():
    for op, grid in STICKERS.graded.items():
        found = baseline_starts.severities(operators.parse(op), STICKERS.graded)
        high = operators.parse(op).bounds[1]
        assert found[0] == high and set(found) == {s for s in grid if s >= high}
    for op in STICKERS.operators:
        given = operators.parse(op)
        assert baseline_starts.severities(given, STICKERS.graded) == (given.severity,)


def test_every_severity_of_table_12_is_scored():
    ours = {
        str(operators.parse(op).at(s))
        for op in STICKERS.ranges
        for s in baseline_starts.severities(operators.parse(op), STICKERS.graded)
    }
    assert set(paper.table(12).operator) <= ours


def test_scores_are_of_the_second_baseline_on_the_draws_of_the_other_tables(lab):
    """Its own baseline by `evaluate_heads`, and the same draws: the first baseline measured in its
    place gives what `severity` and `scores` have."""
    p, given = lab.profile, operators.parse(RANGE)
    kept = lab.starts(RANGE)
    severities = baseline_starts.severities(given, p.graded)
    assert sorted(kept.severity.unique()) == list(severities) and len(severities) == 2
    assert list(kept.columns) == ["method", "severity", "realisation", "top1", "top5", "seed"]
    assert (kept.groupby("severity").size() == p.side_realisations).all()

    narrow, val = (
        lab.baseline(RANGE, 0, p.supervised_narrow),
        lab.val.per_class(p.graded_val_per_class),
    )
    groups = [(narrow.encoder, {"baseline100": narrow.head})]
    at = given.at(severities[1])
    found = evaluation.evaluate_heads(groups, val, at, p.side_realisations, 0, progress=False)
    assert kept[kept.severity == severities[1]].top1.tolist() == pytest.approx(found.top1.tolist())

    first = baseline_starts.measure(
        lab.baseline(RANGE), val, given, severities, p.side_realisations, 0
    )
    paired = lab.severity(RANGE).query("method == 'baseline' and severity in @severities")
    assert first.top1.tolist() == pytest.approx(paired.top1.tolist(), abs=1e-3)


def test_a_fixed_operator_is_scored_on_all_validation_pictures(lab):
    kept = lab.starts(FIXED)
    assert len(kept) == 1, "a blur is drawn once"
    given, p = operators.parse(FIXED), lab.profile
    one = baseline_starts.measure(
        lab.baseline(FIXED), lab.val, given, (given.severity,), p.realisations, 0
    )
    scores = lab.scores(FIXED).query("method == 'baseline'")
    assert one.top5.tolist() == pytest.approx(scores.top5.tolist(), abs=1e-3)


# -- learning rates --------------------------------------------------------------------------------
def test_the_sweep_tries_a_rate_on_both_sides_of_the_one_in_use(monkeypatch, tmp_path):
    monkeypatch.setattr(sweep.labs, "RECORDED", tmp_path)
    monkeypatch.setattr(results, "RECORDED", tmp_path)
    asked = []

    def score(lab, method, start, lr):
        asked.append((method, start, lr))
        return 100 * lr

    monkeypatch.setattr(sweep, "score", score)
    rows = sweep.make("smoke")
    assert len(rows) == len(asked) == len(set(asked)) == 11
    assert sweep.make("smoke").equals(rows) and len(asked) == 11, "what is there is not run again"
    for method, start in {(method, start) for method, start, _ in asked}:
        rates = [lr for m, s, lr in asked if (m, s) == (method, start)]
        assert min(rates) < STICKERS.baseline.lr < max(rates)
    both = results.sweep("smoke", narrow=True)
    assert set(both.method) == {"student", "baseline", "baseline100"}
    assert len(both.query("method == 'baseline100'")) == 3
    main = results.sweep("smoke")
    assert list(main.columns) == ["method", "lr", "top1"]
    assert set(main.method) == {"student", "baseline"} and len(main) == 8


def test_what_was_swept_before_is_kept():
    """Lesson 06 chose by these."""
    table = results.sweep("stickers").pivot(index="lr", columns="method", values="top1")
    assert table.shape == (4, 2) and not table.isna().any(axis=None)
    assert table.student.idxmax() == STICKERS.student.lr
    assert table.baseline.idxmax() == STICKERS.baseline.lr


def test_a_best_rate_without_any_is_said_so():
    nan = float("nan")
    with pytest.raises(ValueError, match="no learning rate was tried"):
        results.best_rate(torch.tensor([1.0, 2.0]), torch.tensor([nan, nan]))
