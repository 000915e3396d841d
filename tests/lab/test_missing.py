"""What a profile needs and is not there is said, with the command that makes it; a lesson that
lacks it ends well."""

import inspect
import json
from dataclasses import replace
from types import SimpleNamespace

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell
from test_notebooks import NOTEBOOKS, execute, kernel  # noqa: F401

from cinv_lib import operators, paper
from cinv_lib.data import linked, prepared
from cinv_lib.encoders import config, published
from cinv_lib.lab import missing, plan
from cinv_lib.lab.lab import Lab
from cinv_lib.lab.profiles.paper import IMAGENET100, STL10
from cinv_lib.lab.profiles.smoke import SMOKE
from cinv_lib.lab.profiles.stickers import STICKERS
from cinv_lib.machine.store import canonical
from data_prep import __main__ as prep

PAPERS = pytest.mark.parametrize("p", [IMAGENET100, STL10], ids=lambda p: p.name)


def link(home, *names):
    """As if data_prep had made these sets."""
    for name in names:
        if name in prepared.COMMAND:
            files = [prepared.file_of(name, split) for split in prepared.SPLITS[name]]
        else:
            files = [home / name / linked.MANIFEST]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()


def test_what_is_missing_comes_with_its_command(home, monkeypatch, tmp_path):
    assert missing.missing(STICKERS, "09") == []
    how = "`python -m data_prep imagenet100 --imagenet DIR`"
    assert missing.missing(IMAGENET100) == [f"the pictures imagenet100: {how}"]
    assert f"the pictures imagenet100-shift: {how}" in missing.missing(IMAGENET100, "10")
    assert "a set of near twins" in missing.missing(STL10, "10")[-1]
    commands = {line.split(": ")[1] for line in missing.missing(IMAGENET100, "09")}
    assert {
        "`python -m data_prep cifar`",
        "`python -m data_prep covid --coronahack DIR`",
    } < commands
    link(home, "stl10")
    assert missing.missing(STL10) == ["the pictures stl10-unlabelled: `python -m data_prep stl10`"]
    # once the pictures are there, the weights: out of reach, with what to do
    monkeypatch.setattr(published, "unreachable", lambda url: "is out of reach")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *a, **_: None)
    link(home, "stl10-unlabelled")
    clip, resnet = missing.missing(STL10)
    assert clip.startswith("RN101-quickgelu/openai: the weights are not on this machine")
    assert "hf download" in clip and "curl -L" in resnet
    weights = tmp_path / "checkpoints" / config.RESNET101.url.rsplit("/", 1)[1]
    weights.parent.mkdir()
    weights.touch()
    assert missing.missing(STL10) == [clip]


def test_transfer_does_without_sets_that_are_absent_if_another_is_there(home):
    entry, p = IMAGENET100["transfer"], IMAGENET100
    (mask, _) = entry.operators
    task = entry.task(mask)
    link(home, "imagenet100")
    assert entry.here() == entry.sets and missing.left_out(p, "09") == []  # none: all are asked for
    whole = entry.settings(task)
    assert len(missing.missing(p, "09")) == 5
    link(home, "cifar10", "imagenet100b")
    assert [*entry.here()] == ["cifar10", "imagenet100b"]
    assert entry.settings(task) != whole  # so a set that comes later makes another table
    gone = [line.split(":")[0] for line in missing.left_out(p, "09")]
    assert gone == ["the pictures cifar100", "the pictures stl10", "the pictures covid"]
    assert not any("pictures" in line for line in missing.missing(p, "09"))
    assert STICKERS["transfer"].here() == STICKERS["transfer"].sets


def test_a_lab_without_its_data_raises_one_clear_error(home):
    with pytest.raises(
        missing.Absent, match=r"'imagenet100' needs .*\n\n- the pictures .*--imagenet"
    ):
        Lab("imagenet100")
    assert not (home / "runs").exists()


@PAPERS
def test_nothing_is_planned_without_data(p, home):
    listed = json.loads(plan.as_json(p, 1))
    assert listed["tasks"] == listed["lessons"] == {}
    assert listed["absent"] == missing.missing(p)


@PAPERS
def test_the_plan_of_a_paper_profile(p, monkeypatch):
    """With data and weights, every task has a description, and trainings are the paper's."""
    monkeypatch.setattr(missing, "missing", lambda *_: [])
    tasks = json.loads(plan.as_json(p, 1))["tasks"]
    assert len({task["address"] for task in tasks.values()}) == len(tasks)
    every = {task.kind for task in plan.every(p, 1).values()}
    assert {"baseline_starts", "baseline_fit", "baseline100"}.isdisjoint(every)
    assert {task["kind"] for task in tasks.values()} <= every
    trained = {task["operator"] for task in tasks.values() if task["kind"] == "student"}
    several = ("transfer", "common_corruptions")
    assert {*p.operators, *(op for name in several for op in p[name].operators)} <= trained
    spec = canonical(p.describe(p["student"].task("mask:0.9")))
    assert spec["needs"]["teacher"] == "RN101-quickgelu/openai"
    assert spec["loss"] == "st:0.1"
    want = {"epochs": 25, "batch_size": 256, "lr": 3e-4, "flip": True, "weight_decay": 0.0}
    assert want.items() <= spec["recipe"].items()
    assert p.describe(p["baseline"].task("mask:0.9"))["recipe"].lr == 1e-3
    more = ["stl10-unlabelled", "train", None]
    assert (spec["needs"]["unlabelled"] == more) == (p is STL10)


@PAPERS
def test_a_paper_profile_is_the_papers(p):
    assert p.operators[0] == "mask:0.9"
    table = paper.table(1)
    assert {paper.counterpart(op) for op in p.operators} == set(table.operator)
    kernels = [2 * round(2 * operators.parse(op).severity) + 1 for op in ("blur:5", "blur:9")]
    assert kernels == [21, 37]
    steps = {100_000: 391, 126_689: 495}[100_000 if p.unlabelled else 126_689]
    images = 100_000 if p.unlabelled else 126_689
    assert -(-images // p["student"].recipe.batch_size) == steps
    figure = set(paper.figure(3).query("fraction <= 100").fraction / 100)
    assert set(IMAGENET100["known_operator"].operators["mask:0.9"]) == figure
    beyond = set(paper.figure(4).operator) | set(paper.table(10).operator)
    severities = p["unknown_severity"].operators
    graded = {str(operators.parse(op).at(s)) for op in severities for s in severities[op]}
    assert {str(operators.parse(op)) for op in beyond} <= graded
    probe = p["probe"].recipe
    assert (probe.epochs, probe.batch_size, probe.small_batch) == (10, 512, 32)
    for op in (p.slider, *(op for entry in p.entries for op in entry.operators)):
        operators.parse(op)
    for name in ("student", "baseline"):  # the paper trains all for as long,
        assert p[name].recipe_at("noise:0.1..0.3") == p[name].recipe
    measured = ("known_operator", "unknown_severity", "transfer", "label_shift", "ablation")
    assert {p[name].realisations for name in measured} == {10}  # and scores all as often


def test_what_can_be_downloaded_is_and_the_rest_is_said(home, monkeypatch, capsys):
    fetched = []

    def cifar():
        raise OSError("no network")

    monkeypatch.setattr(prep.small_sets, "stl10", lambda: fetched.append("stl10"))
    monkeypatch.setattr(prep.small_sets, "cifar", cifar)
    monkeypatch.setattr(missing, "unfetched", lambda name: None)
    prep.for_profile("stl10")
    assert fetched == ["stl10"] and "NOTE  no network" in capsys.readouterr().out
    prep.for_profile("imagenet100")  # its own pictures are not there: nothing else is fetched
    said = capsys.readouterr().out
    assert fetched == ["stl10"] and "NOTE" not in said
    assert said.startswith("ABSENT  the pictures imagenet100: `python -m data_prep imagenet100")
    link(home, "imagenet100")
    prep.for_profile("imagenet100")
    assert fetched == ["stl10"] * 2


def test_what_nobody_has_published_is_said_so(monkeypatch, home):
    monkeypatch.setattr(missing, "missing", lambda *_: [])
    with pytest.raises(missing.Absent, match="a ResNet-101 trained on the labelled classes alone"):
        Lab("imagenet100").table("baseline_starts", "mask:0.9")
    with pytest.raises(missing.Absent, match="a ResNet-101 trained on the labelled classes alone"):
        Lab("imagenet100").made("baseline100", "mask:0.9")


NARROW = ("baseline100", "baseline_starts", "baseline_fit")  # what starts from 100 classes
LACKING = {  # entries at these operators only, entries that are left out, fields; what is said
    "no weights": (
        ({}, NARROW, {"supervised_narrow": ""}),
        "a ResNet-101 trained on the labelled classes alone",
    ),
    "no operators": (
        ({"baseline_starts": ()}, ("baseline_fit",), {}),
        "a second start on mask:0.9 and mask:0.5..0.95",
    ),
    "no range": (
        ({"baseline_starts": ("mask:0.9",)}, ("baseline_fit",), {}),
        "a second start on mask:0.9 and mask:0.5..0.95",
    ),
    "neither": (({"label_shift": ()}, NARROW, {"supervised_narrow": "", "twins": ""}), "a "),
}


def lacking(kept, left_out, fields):
    """The smoke profile with less in it."""
    at = {
        name: {"operators": {op: SMOKE[name].operators[op] for op in operators}}
        for name, operators in kept.items()
    }
    p = SMOKE.changed(at, **fields)
    return replace(p, entries=tuple(entry for entry in p.entries if entry.name not in left_out))


@pytest.mark.parametrize("without", LACKING)
def test_nothing_is_planned_for_a_second_start_that_is_not_there(without):
    changed, line = LACKING[without]
    p = lacking(*changed)
    lines = missing.second_start(p)
    assert len(lines) == 1 and lines[0].startswith(line)
    every = plan.every(p, 2).values()
    narrow = {(task.kind, task.operator) for task in every if task.kind in NARROW}
    there = {"no range": {("baseline100", "mask:0.9"), ("baseline_starts", "mask:0.9")}}
    assert narrow == there.get(without, set())
    assert {task.kind for task in every} >= {"baseline", "known_operator", "unknown_severity"}
    assert missing.second_start(SMOKE) == []
    assert {task.kind for task in plan.every(SMOKE, 2).values()} >= set(NARROW)


@pytest.mark.parametrize(("lesson", "without"), [("07", "no weights"), ("15", "neither")])
def test_lessons_without_a_second_start_end_well_and_say_why(
    lesson,
    without,
    kernel,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    changed, line = LACKING[without]
    (path,) = [path for path in NOTEBOOKS if path.stem.startswith(lesson)]
    monkeypatch.setenv("CINV_LESSON", path.stem)
    notebook = nbformat.read(path, as_version=4)
    first = f"""from dataclasses import replace
from types import SimpleNamespace
from cinv_lib.lab.profiles import names
from cinv_lib.lab.profiles.smoke import SMOKE
{inspect.getsource(lacking)}
names.PROFILES["smoke"] = lacking(*{changed!r})"""
    notebook.cells.insert(0, new_code_cell(first))
    nbformat.write(notebook, tmp_path / "in.ipynb")
    done = execute(tmp_path / "in.ipynb", tmp_path / "out.ipynb", profile="smoke", seeds=1)
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    run = [cell for cell in code if cell.execution_count]
    if lesson == "15":
        assert len(run) == len(code), "the ledger is whole"
        return
    assert 4 < len(run) < len(code)
    shown = "\n".join(str(output.data) for output in run[-1].outputs if "data" in output)
    assert f"- {line}" in shown and "Table 11, quoted" in shown
    assert "The lesson ends here" in run[-1].outputs[-1].traceback[0]


def test_no_paper_profile_trains_without_a_gpu_unasked(monkeypatch, tmp_path):
    """Nothing is begun; CPU=1 has it so, and a profile with small towers never asks."""
    monkeypatch.setattr(missing, "missing", lambda *_: [])
    monkeypatch.delenv("CPU", raising=False)
    lab, begun = Lab(IMAGENET100), []
    monkeypatch.setattr(Lab, "_get", lambda self, need: begun.append(need))
    monkeypatch.setattr(type(lab.profile["student"]), "make", lambda *_, **__: None)
    task = lab.profile["student"].task("mask:0.9")
    with pytest.raises(missing.Absent, match=r"no GPU here.*PROFILE=imagenet100 CPU=1"):
        lab.build(task, tmp_path)
    assert not begun
    monkeypatch.setenv("CPU", "1")
    lab.build(task, tmp_path)
    assert begun
    monkeypatch.delenv("CPU")
    missing.refuse_without_gpu(STICKERS)
    there = SimpleNamespace(device=torch.device("cuda"))
    monkeypatch.setattr(missing.hardware, "accelerator", lambda: there)
    missing.refuse_without_gpu(IMAGENET100)
