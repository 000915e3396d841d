"""The command that makes a run of a reader's own, and the profile that it writes."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from cinv_lib.data.image_files import ImageFiles
from cinv_lib.encoders import encoder as encoders
from cinv_lib.lab import own as command
from cinv_lib.lab.profiles import own, profile
from cinv_lib.lab.profiles.own import Own
from cinv_lib.machine import folders


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("CINV_RUNS", str(tmp_path / "my runs"))
    return tmp_path / "my runs"


GIVEN = Own(pictures="/somewhere/my pictures", operator="mask:0.9", teacher="stickers-clip")


def test_it_is_written_once_and_read_by_its_name(runs):
    path = own.write("own/rows", GIVEN)
    assert path == folders.runs("own/rows") / "profile.json"
    assert own.read("own/rows") == GIVEN
    assert profile("own/rows") == GIVEN.profile("own/rows")
    before = path.stat().st_mtime_ns
    own.write("own/rows", GIVEN)
    assert own.read("own/rows") == GIVEN and path.stat().st_mtime_ns >= before


def test_another_run_of_that_name_is_refused_with_what_differs(runs):
    own.write("own/rows", GIVEN)
    with pytest.raises(ValueError, match=r"operator 'mask:0\.9' \(now 'noise:0\.5'\)"):
        own.write("own/rows", Own(GIVEN.pictures, "noise:0.5", GIVEN.teacher))
    assert own.read("own/rows") == GIVEN


@pytest.mark.parametrize("name", ["own/", "own/a b", "own/../x", "own/a/b", "own/.x", "own/ä"])
def test_a_name_that_is_no_folder_is_refused(runs, name):
    with pytest.raises(ValueError, match="expected own/NAME"):
        profile(name)


def test_a_run_that_is_not_there_says_how_to_make_it(runs):
    with pytest.raises(ValueError, match="make own NAME=rows"):
        profile("own/rows")


@pytest.mark.parametrize(
    "text, says",
    [
        ("{", "profile.json"),
        ("[]", "expected values of"),
        ('{"pictures": "a", "operator": "mask:0.9"}', "it has no teacher"),
        ('{"pictures": "a", "operator": "mask:9", "teacher": "t"}', "severity of mask is 9"),
        ('{"pictures": "a", "operator": "mask:0.9", "teacher": "t", "size": 1}', "size"),
        ('{"pictures": "a", "operator": "mask:0.9", "teacher": "t", "epochs": 0}', "epochs"),
    ],
)
def test_a_file_that_was_changed_says_what_is_wrong(runs, text, says):
    path = own.file_of("own/rows")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ValueError, match=says) as found:
        profile("own/rows")
    assert "delete it and run" in str(found.value)


@pytest.mark.parametrize(
    "words, says",
    [
        (["TEACHER=stickers-clip"], "not given: NAME, PICTURES, OPERATOR"),
        (["NAME=rows", "PICTURES=.", "OPERATOR="], "not given: OPERATOR"),
        (["name=rows"], "'name=rows': expected one of NAME=..., PICTURES=..."),
        (["rows"], "'rows': expected one of"),
        (["NAME=rows", "PICTURES=.", "OPERATOR=mask:0.9", "EPOCHS=many"], "EPOCHS='many'"),
        (["NAME=rows", "PICTURES=.", "OPERATOR=rowz:0.9"], "rowz"),
        (["NAME=a b", "PICTURES=.", "OPERATOR=mask:0.9"], "expected own/NAME"),
        (["NAME=rows", "PICTURES=nowhere", "OPERATOR=mask:0.9"], "nowhere"),
        (["NAME=rows", "PICTURES=.", "OPERATOR=mask:0.9", "CODE=none.py"], "none.py"),
    ],
)
def test_bad_words_end_in_one_sentence_and_write_nothing(runs, capsys, words, says):
    assert command.main(words) == 1
    said = capsys.readouterr().err
    assert says in said and "Traceback" not in said and len(said.splitlines()) <= 8
    assert not list(runs.rglob("profile.json"))


def test_the_bill_counts_what_is_trained(monkeypatch):
    monkeypatch.setattr(
        command, "distill", lambda *_, **__: (None, pd.DataFrame({"images_per_s": [50.0]}))
    )
    teacher = encoders.load("stickers-clip")
    pictures = ImageFiles(("a.png",) * 600, torch.zeros(600, dtype=torch.int64), ("a",), "a", "a")
    run = Own(GIVEN.pictures, "mask:0.9", GIVEN.teacher, epochs=10)
    told = command.bill(teacher, pictures, run)
    assert "10 epochs of 600 pictures, 100 steps; 6,000 pictures" in told[0]
    assert "2.0 min" in told[0] and "trainings: 4, at most 8.0 min (LOOKS=0" in told[1]
    alone = command.bill(teacher, pictures, replace(run, looks=False))
    assert "trainings: 1, at most 2.0 min" in alone[1] and "LOOKS" not in alone[1]


def test_without_a_word_it_says_what_they_mean(capsys):
    assert command.main([]) == 2
    said = capsys.readouterr().out
    assert all(word in said for word in (*command.NEEDED, *command.WORDS))
