"""`make course` as a graph: what runs, what is kept, what runs again. On stand-in lessons."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[1]
SITE = """
import pathlib, sys
run = pathlib.Path(sys.argv[1])
names = [p.stem for p in sorted((run / "notebooks").glob("*.ipynb"))]
(run / "index.html").write_text(" ".join(names))
"""

# Lesson 05 needs two tasks, one after the other.
PLAN = """
import json, os, sys
if "--make" in sys.argv:
    name, gpu = sys.argv[-1], os.environ.get("CUDA_VISIBLE_DEVICES", "")
    _ = open("ran", "a").write(f"{name} {gpu}".strip() + "\\n")
    assert name != "broken"
else:
    task = {"address": os.environ.get("ADDRESS", "a1"), "after": []}
    tasks = {"student": task, "scores": task | {"after": ["student"]}, "broken": task}
    print(json.dumps({"lessons": {"05": ["scores"]}, "tasks": tasks}))
"""


def write(folder: Path, name: str, code: str, outputs=()) -> None:
    """A lesson that notes its run in `ran`, with its parameters, and then does `code`."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    parameters = new_code_cell('profile = "x"\nseeds = 3', metadata={"tags": ["parameters"]})
    body = f'_ = open("../ran", "a").write(f"{name[:2]} {{profile}} {{seeds}}\\n")\n{code}'
    cells = [parameters, new_code_cell(body, outputs=list(outputs))]
    for i, cell in enumerate(cells):
        cell["id"] = f"cell-{i}"
    made = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(made, folder / "notebooks" / f"{name}.ipynb")


@pytest.fixture
def course(tmp_path):
    """A repository with the real Snakefile and three lessons, of which 05 fails."""
    for name in ("notebooks", "cinv_lib", "data_prep"):
        (tmp_path / name).mkdir()
        # A folder without it would lose against the real package, installed or not.
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / "Snakefile").write_text((ROOT / "Snakefile").read_text())
    (tmp_path / "data_prep" / "__main__.py").write_text("open('ran', 'a').write('data\\n')")
    (tmp_path / "cinv_lib" / "site.py").write_text(SITE)
    (tmp_path / "cinv_lib" / "plan.py").write_text(PLAN)
    write(tmp_path, "00_start", "")
    write(tmp_path, "01_operators", "")
    write(tmp_path, "05_distill", "print('before'); raise RuntimeError('loss is NaN')")
    return tmp_path


def make(folder: Path, **config) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Run the course; returns the process and what ran this time."""
    (folder / "ran").unlink(missing_ok=True)
    given = {"profile": "stickers", "seeds": 1, "lessons": "all", "gpus": ""} | config
    cores = str(len(given["gpus"].split()) or 1)
    command = [sys.executable, "-m", "snakemake", "--cores", cores, "--scheduler", "greedy"]
    command += ["--nolock", "--rerun-incomplete", "--keep-going"]
    command += ["--quiet", "host", "progress", "rules", "reason", "--config"]
    command += [f"{key}={value}" for key, value in given.items()]
    bin = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{bin}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1", "IPYTHONDIR": str(folder / ".ipython")}
    environment.pop("CINV_RUNS", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    ran = (folder / "ran").read_text().splitlines() if (folder / "ran").exists() else []
    return done, ran


def test_course_stops_and_goes_on(course):
    """One story, as every step needs the one before."""
    done, ran = make(course)
    run = course / "runs" / "stickers"
    assert done.returncode != 0
    # the lesson that failed did not keep the others from running, with the profile and the seeds
    lessons = ["00 stickers 1", "01 stickers 1", "05 stickers 1"]
    assert sorted(ran) == [*lessons, "data", "scores", "student"]
    # what a lesson needs was made before it, and in its order
    assert ran.index("student") < ran.index("scores") < ran.index(lessons[2])
    # and left its notebook, its printed lines, and a sentence
    assert "loss is NaN" in (run / "logs" / "05_distill.failed.ipynb").read_text()
    assert "before" in (run / "logs" / "05_distill.log").read_text()
    assert "lesson 05_distill stopped: see" in done.stdout + done.stderr
    assert not (run / "index.html").exists()

    write(course, "05_distill", "")  # mended: it alone runs
    done, ran = make(course)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran == ["05 stickers 1"]
    assert (run / "index.html").read_text() == "00_start 01_operators 05_distill"
    assert not list((run / "logs").glob("*.failed.ipynb"))

    # new outputs are no new lesson: committing a run must not make it run again
    out = nbformat.v4.new_output("stream", text="an output")
    write(course, "00_start", "", [out])
    done, ran = make(course)
    assert done.returncode == 0 and ran == []

    # another number of seeds, another library: everything that depends on it
    done, ran = make(course, seeds=3, lessons="00")
    assert ran == ["00 stickers 3"]
    (course / "cinv_lib" / "losses.py").write_text("tau = 0.2")
    done, ran = make(course, seeds=3, lessons="00,1")
    assert sorted(ran) == ["00 stickers 3", "01 stickers 3"]


def test_a_training_runs_again_when_its_description_changes_and_not_with_the_code(
    course, monkeypatch
):
    write(course, "05_distill", "")
    _, ran = make(course, lessons="05")
    assert ran == ["data", "student", "scores", "05 stickers 1"]
    (course / "cinv_lib" / "losses.py").write_text("tau = 0.2")
    _, ran = make(course, lessons="05")
    assert ran == ["05 stickers 1"]
    monkeypatch.setenv("ADDRESS", "b2")
    (course / "cinv_lib" / "losses.py").write_text("tau = 0.3")
    _, ran = make(course, lessons="05")
    assert ran == ["student", "scores", "05 stickers 1"]


def test_a_training_that_stops_says_where_it_says_why(course):
    plan = course / "cinv_lib" / "plan.py"
    plan.write_text(PLAN.replace('["scores"]}', '["broken"]}'))
    done, ran = make(course, lessons="00 05")
    assert done.returncode != 0 and sorted(ran) == ["00 stickers 1", "broken", "data"]
    assert "AssertionError" in done.stdout + done.stderr
    assert "broken stopped: see runs/stickers/logs/broken.log" in done.stdout + done.stderr


def test_unknown_lesson_is_said_so(course):
    done, ran = make(course, lessons="00 77")
    assert done.returncode != 0 and ran == []
    assert "no lesson '77'; there are: 00 01 05" in done.stdout + done.stderr


def test_each_job_has_a_gpu_of_its_own(course):
    wait = "import time; time.sleep(4); "
    for name in ("00_start", "01_operators"):
        code = wait + (
            'import os; _ = open("../ran", "a").write(os.environ["CUDA_VISIBLE_DEVICES"] + "\\n")'
        )
        write(course, name, code)
    done, ran = make(course, gpus="4 6", lessons="00 01")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(ran) == ["00 stickers 1", "01 stickers 1", "4", "6", "data"]
    write(course, "05_distill", "")
    done, ran = make(course, gpus="7", lessons="05")
    assert ran == ["student 7", "scores 7", "05 stickers 1"]
