"""The lab makes a thing once, finds it again, and believes the recorded run only when allowed."""

import shutil
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from cinv_lib.experiments import known_operator, spoken, trainings
from cinv_lib.lab import lab as lab_module
from cinv_lib.lab import profiles, replicates
from cinv_lib.lab.lab import RECORDED, Lab
from cinv_lib.machine import hardware
from cinv_lib.machine.store import Store
from cinv_lib.paper import export, results

OP = "mask:0.9"


@pytest.fixture(scope="module")
def lab(folders):
    return Lab("smoke", recorded=False)


@pytest.fixture(scope="module")
def scores(lab):
    return lab.table("known_operator", OP)


def test_scores_have_every_method_seed_and_realisation(lab, scores):
    assert set(scores.method) == set(known_operator.METHODS)
    assert list(scores.columns) == ["method", "realisation", "top1", "top5", "seed"]
    assert (scores.groupby("method").size() == lab.profile["known_operator"].realisations).all()
    assert scores.top1.between(0, 100).all() and (scores.top5 >= scores.top1).all()


def test_what_was_made_is_found_again(lab, scores, monkeypatch):
    def never(*_, **__):
        raise AssertionError("trained a second time")

    monkeypatch.setattr(trainings, "distill", never)
    monkeypatch.setattr(trainings, "finetune", never)
    other = Lab("smoke", recorded=False)
    pd.testing.assert_frame_equal(other.table("known_operator", OP), scores)
    x = lab.val.images[:2].float() / 255
    assert torch.equal(other.student(OP)(x), lab.student(OP)(x))
    assert torch.equal(other.baseline(OP)(x), lab.baseline(OP)(x))
    assert other.provenance("student", OP)["minutes"] > 0
    assert len(other.history("student", OP)) == len(other.history("baseline", OP)) == 4
    with pytest.raises(AssertionError, match="second time"):
        other.student(OP, loss="mse")  # another loss is another student


def copied(lab: Lab, to: Path) -> None:
    """What the lab has finished. What other processes are building comes and goes meanwhile."""
    unfinished = shutil.ignore_patterns("*.partial", "*.damaged-*", "*.lock")
    shutil.copytree(lab.store.root, to, ignore=unfinished)


def test_a_table_that_the_disk_has_changed_is_not_handed_out(lab, scores, home):
    """Not by the lab, which measures again, nor among what was there; and not in the JSON.

    In a copy, as another process that asks the shared lab for this table would mend it first."""
    own = Lab("smoke", recorded=False)
    copied(lab, own.store.root)
    file = own.folder(own.task("known_operator", OP)) / "known_operator.csv"
    text = file.read_text()
    its_json = "known_operator-mask-0.9-seed0.json"
    assert its_json in [file.name for file in export.results(own.store.root.parent)]
    file.write_text(text.replace("1", "7"))
    assert own.so_far("known_operator", OP) is None
    assert its_json not in [file.name for file in export.results(own.store.root.parent)]
    with pytest.warns(UserWarning, match=r"known_operator\.csv has other bytes"):
        pd.testing.assert_frame_equal(own.table("known_operator", OP), scores)
    assert file.read_text() == text


def test_the_recorded_run_is_read_only_if_allowed(lab, scores, home, monkeypatch, tmp_path):
    archive = tmp_path / "recorded"
    copied(lab, archive / "smoke")
    monkeypatch.setattr(lab_module, "RECORDED", archive)
    monkeypatch.setattr(known_operator, "evaluate_heads", None)  # nothing can be computed
    pd.testing.assert_frame_equal(Lab("smoke").table("known_operator", OP), scores)
    assert not (home.parent / "runs").exists()
    monkeypatch.setenv("CINV_RECORDED", "0")
    monkeypatch.setattr(trainings, "distill", None)
    with pytest.raises(TypeError):
        Lab("smoke").table("known_operator", OP)


def test_the_recorded_run_is_whole_and_of_the_profile_as_it_is_now():
    """All tables of all seeds, and the models that lessons show; so no lesson trains, and a verdict
    has five trainings. If a setting changes, the run has to be made again."""
    lab = Lab("stickers")
    p = lab.profile
    assert lab.archive.root == RECORDED / "stickers" and p.recorded == (11, 12, 13, 14, 15)
    kept = replicates.measured(p, p.recorded)
    kept += [p[kind].task(p.slider) for kind in ("student", "baseline")]
    # asked of the archive: the lab would make what is not there
    absent = [p.task_name(task) for task in kept if not lab.archive.finished(**lab.place(task))]
    assert not absent and len(kept) > 300


def test_so_many_seeds_are_the_first_recorded_ones_where_the_record_is_read():
    """A number of seeds; a list of them is what it says."""
    reads, makes = Lab("stickers", recorded=True), Lab("stickers", recorded=False)
    assert reads.seeds(1) == [11] and reads.seeds(5) == [11, 12, 13, 14, 15]
    assert reads.seeds(7) == [11, 12, 13, 14, 15, 0, 1]
    many = reads.seeds(17)
    assert len(many) == len(set(many)) == 17, "no recorded seed comes twice"
    assert makes.seeds(2) == [0, 1] and Lab("smoke", recorded=True).seeds(2) == [0, 1]
    assert reads.seeds([3]) == makes.seeds([3]) == [3]
    with pytest.raises(ValueError, match="expected how many"):
        reads.seeds(0)


def test_the_recorded_run_says_where_it_comes_from():
    listing = Store(RECORDED / "stickers").listing()
    assert (listing.state == "finished").all()
    made = Lab("stickers").provenance("known_operator", OP, 11)
    assert {"commit", "date", "machine", "minutes"} <= set(made)


def test_an_unknown_profile_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="stickers, smoke"):
        Lab("imagenet")
    assert profiles.profile(profiles.SMOKE) is profiles.SMOKE


def test_results_are_means_over_seeds_of_means_over_realisations(lab, scores):
    frame = results.measured(lab, [OP]).set_index("method")
    for method, rows in scores.groupby("method"):
        assert frame.loc[method, "value"] == pytest.approx(rows.top1.mean())
        assert frame.loc[method, "se"] == pytest.approx(rows.top1.sem())
    assert (frame.label == "reduced scale").all()
    assert frame.error.isna().all()  # one training has none


def test_the_paper_s_numbers_stand_beside_under_our_operators(lab):
    quoted = results.quoted(lab).set_index(["operator", "method"])
    assert quoted.loc[("mask:0.9", "student"), "value"] == 82.96
    assert quoted.loc[("noise:0.5", "clip"), "value"] == 7.70
    assert quoted.loc[("blur:2.57", "baseline"), "value"] == 68.94
    assert (quoted.label == "quoted").all()
    table = results.layout(results.measured(lab, [OP]), results.quoted(lab))
    assert table.loc[known_operator.METHODS["student"], (spoken.title(OP), "paper")] == "83.0 ± 0.1"
    with pytest.raises(ValueError, match="top1, top5"):
        results.measured(lab, [OP], metric="top3")


def test_the_working_lab_has_every_model_on_its_own_device(monkeypatch):
    """Also one that was looked at before, as lesson 14 looks at `vit` before it asks for more."""
    lab = Lab("smoke", recorded=False)
    lazy = [
        name
        for one in Lab.__mro__
        for name, v in vars(one).items()
        if isinstance(v, cached_property)
    ]
    values = {name: getattr(lab, name) for name in lazy}
    models = {name for name, v in values.items() if isinstance(v, torch.nn.Module)}
    assert {"teacher", "vit"} <= models
    place = SimpleNamespace(device=torch.device("meta"))
    monkeypatch.setattr(hardware, "accelerator", lambda: place)
    working = lab.working()
    for name, value in values.items():
        if name in models:
            assert {p.device.type for p in getattr(working, name).parameters()} == {"meta"}, name
            assert getattr(lab, name) is value, "the reader's own"
            assert {p.device.type for p in value.parameters()} == {"cpu"}
        else:
            assert getattr(working, name) is value, f"{name}: read once is enough"
    assert working.working() is working
