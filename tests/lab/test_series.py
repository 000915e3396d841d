"""Which pictures each seed has: its own, no other seed's, and none that R was trained on."""

from itertools import combinations, product

import pandas as pd
import pytest
import torch

from cinv_lib.data.catalogue import load
from cinv_lib.data.stickers import coarse, drawing, sets
from cinv_lib.experiments import controls, trainings, transfer
from cinv_lib.lab.profiles import PROFILES, STICKERS
from data_prep import teacher

MASK, SEEDS = "mask:0.9", STICKERS.recorded
FOLDS = ("digits", "faces")  # which come with packages: there is no more of them to draw
EACH = (STICKERS.data, STICKERS.twins, *STICKERS["transfer"].sets)
POOLS = {"student": 2_000, "student_7500": 7_500, "student_60000": 60_000}


def of_seed(name, split, seed, n):
    """Each picture of a set as the tasks of a seed have it, once, as bytes."""
    found = load(name + STICKERS.drawn(seed), split, n)
    pictures = [picture.numpy().tobytes() for picture in found.images]
    assert len(set(pictures)) == len(pictures) > 0
    return set(pictures)


# -- pictures of a seed ----------------------------------------------------------------------------
def test_each_recorded_seed_draws_all_its_pictures_anew():
    assert SEEDS == (11, 12, 13, 14, 15)
    named = {STICKERS.drawn(seed) for seed in SEEDS}
    assert named == {"@11", "@12", "@13", "@14", "@15"}


@pytest.mark.parametrize("name", EACH)
def test_no_two_recorded_seeds_are_scored_on_the_same_picture(name):
    """Of the sets that are drawn one picture of each class is looked at here. Training pictures are
    of a seed alone, too; but of five folds each trains on the other four."""
    n = None if name in FOLDS else 1
    val = {seed: of_seed(name, "val", seed, n) for seed in SEEDS}
    for one, other in combinations(SEEDS, 2):
        assert not val[one] & val[other], f"seeds {one} and {other}"
    if name == STICKERS.twins:
        return  # no training has one
    train = {seed: of_seed(name, "train", seed, n) for seed in SEEDS}
    for seed in SEEDS:
        assert not train[seed] & val[seed], f"seed {seed} is scored on what it is trained on"
    if name not in FOLDS:
        assert not any(train[one] & train[other] for one, other in combinations(SEEDS, 2))
        assert not any(train[one] & val[other] for one, other in product(SEEDS, SEEDS))


@pytest.mark.parametrize("name", FOLDS)
def test_every_picture_of_a_package_is_in_the_validation_fold_of_one_recorded_seed(name):
    val = [of_seed(name, "val", seed, None) for seed in SEEDS]
    for seed, fold in zip(SEEDS, val, strict=True):
        others = set().union(*val) - fold
        assert of_seed(name, "train", seed, None) == others, f"seed {seed}"


@pytest.mark.parametrize("seed", [*SEEDS, 0])
@pytest.mark.parametrize("entry", ["transfer", "starts_transferred", "words_transferred"])
def test_transfer_asks_for_the_sets_of_its_seed(monkeypatch, entry, seed):
    """Seed 0, of a reader who trains alone, has those that the lessons show."""
    asked, some = [], load("faces", "val", 1)
    monkeypatch.setattr(
        transfer.data, "to_train", lambda name, _: asked.append((name, "train")) or some
    )
    monkeypatch.setattr(
        transfer.data, "load", lambda name, split, _: asked.append((name, split)) or some
    )
    monkeypatch.setattr(transfer, "features_of", lambda towers, *_: [None] * len(towers))
    monkeypatch.setattr(transfer, "fit", lambda *_: None)
    nothing = pd.DataFrame(columns=["model", *transfer.COLUMNS[2:]])
    monkeypatch.setattr(transfer.evaluation, "evaluate_heads", lambda *_, **__: nothing)
    experiment = STICKERS[entry]
    (op, *_) = experiment.operators
    experiment.scored(experiment.task(op, seed), {"one": None})
    drawn = f"@{seed}" if seed else ""
    expected = [(name + drawn, split) for name in experiment.sets for split in ("train", "val")]
    assert asked == expected


# -- pools -----------------------------------------------------------------------------------------
@pytest.fixture
def drawn(monkeypatch, home):
    """(series, glyphs, whether backgrounds are those of training) of all that is drawn; 60,000
    pictures would take half a minute, so each is black."""
    asked = []

    def draw_all(series, ids, train):
        asked.append((series, ids, train))
        return torch.zeros(1, 3, 64, 64, dtype=torch.uint8).expand(len(ids), -1, -1, -1)

    monkeypatch.setattr(sets, "draw_all", draw_all)
    monkeypatch.setattr(sets, "_keep", lambda *_: None)
    return asked


def learned(monkeypatch, tmp_path, name, seed):
    """The pictures that a training without labels of this seed is handed."""
    entry, handed = STICKERS[name], []

    def training(_, images, *__, **___):
        handed.append(images)
        raise InterruptedError

    monkeypatch.setattr(trainings, "distill", training)
    monkeypatch.setattr(trainings, "finetune", training)
    monkeypatch.setattr(controls, "named", lambda _, images: images)
    task = entry.task(MASK, seed)
    needs = STICKERS.describe(task)["needs"]
    given = {"teacher": None}
    if "unlabelled" in needs:
        given["unlabelled"] = load(*needs["unlabelled"])
    with pytest.raises(InterruptedError):
        entry.build(tmp_path, task, **given)
    return handed[0]


@pytest.mark.parametrize("seed", [*SEEDS, 0])
def test_the_2000_pictures_are_among_the_7500_and_these_among_the_60000(
    monkeypatch, tmp_path, drawn, seed
):
    """A picture follows from its series, its place in it, its glyph and its side of a photograph
    (tests/data/stickers): a pool is nested in another where it has these of that one's first."""
    pools = [learned(monkeypatch, tmp_path, name, seed) for name in POOLS]
    assert [len(pool) for pool in pools] == list(POOLS.values())
    same = learned(monkeypatch, tmp_path, "words_of_r_60000", seed)
    *parts, (series, glyphs, train) = drawn
    assert series == sets.series_of(sets.SERIES["stickers-100", "train"], seed) and train
    for pool, (of, some, side) in zip(pools, parts, strict=True):
        assert (of, side) == (series, train)
        assert torch.equal(some, glyphs[: len(some)])
        assert torch.equal(pool.labels, same.labels[: len(pool)])


@pytest.mark.parametrize("seed", [*SEEDS, 0])
def test_no_pool_is_of_the_series_that_r_was_trained_on(monkeypatch, tmp_path, drawn, seed):
    """Nor of one that anything is scored on. R's web is drawn by data_prep."""
    web, render = [], drawing.render
    monkeypatch.setattr(
        drawing, "render", lambda series, *given: web.append(series) or render(series, *given)
    )
    teacher.web(teacher.TeacherRecipe(images=1))
    scored = [load("stickers-100" + STICKERS.drawn(other), "val", 1) for other in (*SEEDS, 0)]
    of_scored = {series for series, *_ in drawn}
    assert len(scored) == len(of_scored) and len(web) == 1
    drawn.clear()
    for name in (*POOLS, "student_world", "words_of_r_60000"):
        learned(monkeypatch, tmp_path, name, seed)
    assert len(drawn) == 5
    for series, _, train in drawn:
        assert train and series not in {*web, *of_scored}


def test_no_two_sets_of_a_draw_and_no_two_draws_share_a_series():
    every = [*sets.SERIES.values()]
    every += [number for task in coarse.TASKS.values() for number in task.series.values()]
    numbers = [sets.series_of(series, draw) for series in every for draw in range(20)]
    assert len(set(numbers)) == len(numbers) and teacher.SERIES not in numbers


@pytest.mark.parametrize("p", PROFILES.values(), ids=lambda p: p.name)
def test_experiments_draw_their_sets_anew_where_the_profile_does(p):
    fields = {entry.name: entry.redrawn for entry in p.entries if hasattr(entry, "redrawn")}
    assert fields == dict.fromkeys(fields, p.redrawn) and "transfer" in fields
