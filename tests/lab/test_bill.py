"""The bill against figures that were counted by hand, from the paper's settings."""

import json
import sys

import pytest

from cinv_lib.lab import bill, costs
from cinv_lib.lab.profiles import IMAGENET100, PROFILES, SMOKE, STL10


@pytest.mark.parametrize(("seeds", "trainings", "students"), [(1, 32, 18), (3, 105, 63)])
def test_trainings_of_imagenet100(seeds, trainings, students):
    table = bill.bill(IMAGENET100, seeds)
    assert table[table.training].tasks.sum() == trainings
    assert table.tasks["student"] == students and table.tasks["baseline"] == 11 * seeds


def test_a_training_is_495_batches_in_25_epochs():
    (part,) = costs.parts(IMAGENET100, IMAGENET100["student"].task("mask:0.9"))
    assert part.decodes == 3_167_225 == 25 * 126_689
    assert part.images == {"clip trained": 3_167_225, "clip folded": 3_167_225}
    said = bill.said(IMAGENET100, 1, 1, 8, None)
    assert "32 trainings, a student's of 12,375 steps and 3,167,225 pictures" in said


def test_hours_are_those_of_the_rates():
    table = bill.bill(IMAGENET100, 1)
    one = 3_167_225 * (1 / 1850 + 0.9 / 5500) / 3600  # the network is slower than eight cores
    assert table.middle["student"] == pytest.approx(18 * one)
    assert table[table.training].middle.sum() == pytest.approx(17.9, abs=0.2)
    assert table[table.training]["M decodes"].sum() == pytest.approx(32 * 3.167225)
    starved = bill.bill(IMAGENET100, 1, cores=1)  # at 3 ms a picture, and 333 of them a second
    assert starved.middle["student"] == pytest.approx(18 * 3_167_225 * 0.003 / 3600)
    measured = bill.bill(IMAGENET100, 1, rates={"clip trained": 3700, "clip": 9900})
    assert costs.speeds(1, {"clip": 9900})["clip folded"] == pytest.approx(11000)
    assert measured.low["student"] == pytest.approx(18 * 3_167_225 * 0.007 / 8 / 3600)
    assert measured.high["student"] < table.high["student"]


def test_files_are_decoded_once_for_all_encoders_of_a_task():
    views, p = 10 * 126_689, IMAGENET100
    decodes = {}
    for kind in ("known_operator", "tuned_teacher", "other_tower", "blind"):
        task = p[kind].task(next(iter(p[kind].operators)))
        decodes[kind] = sum(part.decodes for part in costs.parts(p, task))
    # of tuned_teacher students see ruined pictures and teachers clean ones
    assert decodes == {
        "known_operator": views,
        "tuned_teacher": 2 * views + 126_689,  # and these once as they are
        "other_tower": views,
        "blind": 126_689,  # one picture under each operator
    }


def test_every_kind_of_a_paper_profile_is_billed():
    for p in (IMAGENET100, STL10):
        table = bill.bill(p, 1)
        assert (table[["low", "middle", "high"]] > 0).all(axis=None)
        assert (table.low >= table.middle).all() and (table.middle >= table.high).all()
    assert bill.bill(STL10, 1)["M decodes"].sum() == 0, "its pictures are in memory"
    with pytest.raises(ValueError, match="no bill for 'smoke': expected a profile of imagenet100"):
        bill.bill(SMOKE, 1)


def test_the_command_takes_measured_rates(tmp_path, monkeypatch, capsys):
    rates = tmp_path / "rates.json"
    for written, code in ({"clip": 1000}, 0), ({"clop": 1000}, 2):
        rates.write_text(json.dumps(written))
        monkeypatch.setattr(sys, "argv", ["bill", "imagenet100", "--rates", str(rates)])
        if code:
            with pytest.raises(SystemExit):
                bill.main()
            assert "rates ['clop']: expected some of clip" in capsys.readouterr().err
        else:
            bill.main()
            assert "measured and assumed" in capsys.readouterr().out
    assert {"imagenet100", "stl10"} <= {*PROFILES}


def test_the_bill_of_a_stream_is_that_of_as_many_pictures_of_files(monkeypatch, capsys):
    said = bill.streamed(3_167_225, 1, 8)  # what a student of imagenet100 sees
    table = bill.bill(IMAGENET100, 1)
    assert f"GPU-hours: {table.middle['student'] / 18:.3g};" in said
    one = 1e8 * (1 / 1850 + 0.9 / 5500) / 3600
    said = bill.streamed(100_000_000, 8, 16)
    assert f"GPU-hours: {one:.3g}; " in said and "390,625 steps of 256" in said
    assert "core-hours of decoding: 83.3; a GPU is kept busy by 4.3 cores" in said
    assert f"wall time on 8 GPUs: {one / 8:.3g} hours" in said
    assert f"network: 11 TB at 110 KB a picture, {8 * 1.1e7 / one / 3600:.0f} MB/s" in said
    starved = bill.streamed(100_000_000, 1, 1)
    assert f"GPU-hours: {1e8 * 0.003 / 3600:.3g};" in starved
    for words, code in (["--stream", "100_000_000"], 0), ([], 2), (["stl10", "--stream", "5"], 2):
        monkeypatch.setattr(sys, "argv", ["bill", *words])
        if code:
            with pytest.raises(SystemExit):
                bill.main()
            assert "expected a profile, as imagenet100, or --stream" in capsys.readouterr().err
        else:
            bill.main()
            assert "100,000,000 pictures of a stream" in capsys.readouterr().out
    with pytest.raises(ValueError, match="a stream of 0 pictures: expected 1 or more"):
        bill.streamed(0, 1, 8)


def test_the_bill_of_some_lessons_is_a_part_of_the_whole():
    whole, part = bill.bill(IMAGENET100, 1), bill.bill(IMAGENET100, 1, lessons=("05", "06"))
    assert set(part.index) == {"student", "baseline", "clean_probe", "known_operator"}
    assert part.middle.sum() < whole.middle.sum() / 2
    assert "SEEDS=1, lessons 05 06" in bill.said(IMAGENET100, 1, 1, 8, lessons=("06", "05"))
    with pytest.raises(ValueError, match="lessons 01 ask for nothing that is trained"):
        bill.bill(IMAGENET100, 1, lessons=("01",))
