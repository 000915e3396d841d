"""The baseline from another start: its place in the store, its scores."""

from dataclasses import replace

import pytest
import torch

from cinv_lib import encoders, evaluation, operators, paper
from cinv_lib.experiments import trainings
from cinv_lib.experiments.base import Task
from cinv_lib.experiments.baseline_starts import Scored
from cinv_lib.lab import plan
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles import SMOKE, STICKERS, rates
from data_prep import labelled

FIXED, RANGE = "blur:2.57", "mask:0.5..0.95"


@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


# -- the store -------------------------------------------------------------------------------------
@pytest.mark.parametrize("op", [FIXED, RANGE])
def test_only_what_starts_there_depends_on_the_second_start(op):
    other = STICKERS.changed({}, supervised_narrow=STICKERS.supervised)
    kinds = {
        entry.name
        for entry in STICKERS.entries
        for task in [entry.task(at) for at in entry.operators or [op]]
        if STICKERS.describe(task) != other.describe(task)
    }
    trained, searched = {"baseline100", "tower100_student"}, {"rate_search", "other_rates"}
    assert kinds == trained | searched | {"baseline_starts", "baseline_fit", "other_starts"}


def test_the_two_baselines_differ_by_their_start_and_on_masks_by_the_rate_searched_for_it():
    full, narrow = (
        STICKERS.describe(STICKERS[kind].task(FIXED, 2)) for kind in ("baseline", "baseline100")
    )
    assert [full.pop("kind"), narrow.pop("kind")] == ["baseline", "baseline100"]
    assert full["needs"].pop("supervised") == STICKERS.supervised
    assert narrow["needs"].pop("supervised_narrow") == STICKERS.supervised_narrow
    assert full == narrow
    of_masks = [STICKERS[kind].recipe_at("mask:0.9") for kind in ("baseline", "baseline100")]
    assert [recipe.lr for recipe in of_masks] == [
        rates.SEARCHED[kind]["mask"] for kind in ("baseline", "baseline100")
    ]
    assert of_masks[0] == replace(of_masks[1], lr=of_masks[0].lr)


def test_a_baseline_starts_where_it_is_told(lab, monkeypatch):
    started = []

    def finetune(init, *_, **__):
        started.append(init.name)
        raise InterruptedError

    monkeypatch.setattr(trainings, "finetune", finetune)
    with pytest.raises(InterruptedError):
        lab.baseline("mask:0.123")
    for kind in ("baseline", "baseline100"):
        with pytest.raises(InterruptedError):
            lab.made(kind, "mask:0.123")
    p = lab.profile
    assert started == [p.supervised, p.supervised, p.supervised_narrow]
    with pytest.raises(KeyError, match=r"no entry 'baseline_of_clip' .* baseline, baseline100,"):
        lab.made("baseline_of_clip", "mask:0.123")


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
    starts, fit = SMOKE["baseline_starts"], SMOKE["baseline_fit"]
    assert SMOKE.after(starts.task(RANGE, 1)) == [Task("baseline100", RANGE, 1)]
    before = {task.kind for op in fit.operators for task in SMOKE.after(fit.task(op))}
    assert before == {"baseline", "baseline100", "student", "probe"}
    tasks = plan.tasks(SMOKE, 2)["07"]
    for seed in range(2):
        for wanted in starts.operators:
            assert Task("baseline_starts", wanted, seed) in tasks


# -- the measurement -------------------------------------------------------------------------------
def from_the_hardest(op, graded):
    """The hardest severity that a training on `op` has seen and, for a range, what is beyond."""
    hardest = operators.parse(op).bounds[1]
    return (hardest, *(s for s in graded.get(op, ()) if s > hardest))


@pytest.mark.parametrize(
    ("p", "draws"),
    [
        # of masks and noise twice those of `known_operator`
        (STICKERS, {"mask:0.9": 10, "noise:0.5": 10, FIXED: 5, RANGE: 5}),
        (SMOKE, {"mask:0.9": 2, "noise:0.5": 2, RANGE: 3}),
    ],
    ids=["stickers", "smoke"],
)
def test_severities_begin_at_the_hardest_that_was_seen(p, draws):
    """And pictures are those of the table that has the other baseline, and draws begin with its."""
    known, graded = p["known_operator"], p["unknown_severity"]
    scored = p["baseline_starts"].operators
    assert {op: here.realisations for op, here in scored.items()} == draws
    for op, here in scored.items():
        assert here.severities == from_the_hardest(op, graded.operators)
        if op in graded.operators:
            beside = (graded.realisations, graded.val_per_class)
            assert len(here.severities) > 1
        else:
            assert op in known.operators and here.severities == (operators.parse(op).severity,)
            beside = (known.realisations, p.val_per_class)
        assert here.val_per_class == beside[1]
        assert here.realisations >= beside[0], "else draws of the other table have no partner"


def test_every_severity_of_table_12_is_scored():
    """Of the range that the second baseline is trained on, and of the other by the first one."""
    graded, table = STICKERS["unknown_severity"].operators, paper.table(12)
    assert set(table.trained) == set(graded)
    for op, theirs in table.groupby("trained").operator:
        here = STICKERS["baseline_starts"].operators.get(op)
        severities = here.severities if here else from_the_hardest(op, graded)
        assert set(theirs) <= {str(operators.parse(op).at(s)) for s in severities}


def test_scores_are_of_the_second_baseline_on_the_draws_of_the_other_tables(lab):
    """Its own baseline by `evaluate_heads`, and the same draws: the first baseline measured in its
    place gives what `unknown_severity` has."""
    here, given = lab.profile["baseline_starts"].operators[RANGE], operators.parse(RANGE)
    kept, severities = lab.table("baseline_starts", RANGE), here.severities
    assert sorted(kept.severity.unique()) == list(severities) and len(severities) == 2
    assert list(kept.columns) == ["method", "severity", "realisation", "top1", "top5", "seed"]
    assert (kept.groupby("severity").size() == here.realisations).all()

    narrow, val = lab.made("baseline100", RANGE), lab.val.per_class(here.val_per_class)
    groups = [(narrow.encoder, {"baseline100": narrow.head})]
    at = given.at(severities[1])
    found = evaluation.evaluate_heads(groups, val, at, here.realisations, 0, progress=False)
    assert kept[kept.severity == severities[1]].top1.tolist() == pytest.approx(found.top1.tolist())

    entry = lab.profile["baseline_starts"]
    first = entry.measure(entry.task(RANGE), lab.baseline(RANGE), lab.val)["baseline_starts"]
    beside = lab.table("unknown_severity", RANGE)
    paired = beside.query("method == 'baseline' and severity in @severities")
    assert first.top1.tolist() == pytest.approx(paired.top1.tolist(), abs=1e-3)


def test_a_fixed_operator_is_scored_on_all_validation_pictures():
    known, given = SMOKE["known_operator"], operators.parse(FIXED)
    here = Scored((given.severity,), known.realisations, SMOKE.val_per_class)
    lab = Lab(SMOKE.changed({"baseline_starts": {"operators": {FIXED: here}}}), recorded=False)
    kept = lab.table("baseline_starts")
    assert len(kept) == 1, "a blur is drawn once"
    entry = lab.profile["baseline_starts"]
    one = entry.measure(entry.task(FIXED), lab.baseline(FIXED), lab.val)["baseline_starts"]
    scores = lab.table("known_operator", FIXED).query("method == 'baseline'")
    assert one.top5.tolist() == pytest.approx(scores.top5.tolist(), abs=1e-3)
