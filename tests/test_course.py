"""`make course` as a graph: what runs, what is kept, what runs again. On stand-in lessons."""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[1]
FOLDERS = ("cinv_lib/course", "cinv_lib/lab", "cinv_lib/machine")
MACHINE = tuple(f"cinv_lib/machine/{name}.py" for name in ("host", "folders", "locks"))
SITE = """
import pathlib, sys
run = pathlib.Path(sys.argv[1])
names = [p.stem for p in sorted((run / "notebooks").glob("*.ipynb"))]
(run / "site").mkdir(exist_ok=True)
(run / "site/index.html").write_text(" ".join(names))
"""

# Lesson 05 needs scores. They come after a student, a training that it shows, and a baseline, which
# lesson 07 would show, if it were there.
PLAN = """
import json, os, sys
if "--make" in sys.argv:
    name, gpu = sys.argv[-1], os.environ.get("CUDA_VISIBLE_DEVICES", "")
    _ = open("ran", "a").write(f"{name} {gpu}".strip() + "\\n")
    assert name != "broken"
else:
    task = {"address": os.environ.get("ADDRESS", "a1"), "after": []}
    values = {"operator": "mask:0.5..0.9", "seed": 2}
    student = {"lesson": "05", "parameters": values | {"loss": "st:0.1,weight=0.5"}}
    tasks = {"student": task | student, "broken": task}
    tasks |= {"baseline": task | {"lesson": "07", "parameters": values}}
    tasks |= {"scores": task | {"after": ["student", "baseline"]}, "more": task}
    asked = ["scores", *(["more"] if sys.argv[-1] == "all" else [])]
    print(json.dumps({"lessons": {"05": asked}, "tasks": tasks}))
"""
STUDENT = "05 trains: stickers mask:0.5..0.9 st:0.1,weight=0.5 2"
TRAINING = """
import os
if seed is not None:
    noted = [profile, operator, loss, seed, os.environ.get("CUDA_VISIBLE_DEVICES", "")]
    _ = open("../ran", "a").write(f"05 trains: {' '.join(map(str, noted))}".strip() + "\\n")
"""


def write(folder: Path, name: str, code: str, outputs=(), training: str = TRAINING) -> None:
    """A lesson that notes its run in `ran`, with its parameters, and then does `code`. 05 shows a
    training."""
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    parameters = new_code_cell('profile = "x"\nseeds = 3', metadata={"tags": ["parameters"]})
    body = f'_ = open("../ran", "a").write(f"{name[:2]} {{profile}} {{seeds}}\\n")\n{code}'
    cells = [parameters, new_code_cell(body, outputs=list(outputs))]
    if name.startswith("05"):
        parameters.source += '\noperator = "all"\nloss = "any"\nseed = None'
        parameters.metadata.tags.append("training")
        cells.insert(1, new_code_cell(training, metadata={"tags": ["training"]}))
    for i, cell in enumerate(cells):
        cell["id"] = f"cell-{i}"
    made = new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(made, folder / "notebooks" / f"{name}.ipynb")


@pytest.fixture
def course(tmp_path):
    """A repository with the real Snakefile and three lessons, of which 05 fails."""
    for name in ("notebooks", "cinv_lib", *FOLDERS, "data_prep"):
        (tmp_path / name).mkdir()
        # A folder without it would lose against the real package, installed or not.
        (tmp_path / name / "__init__.py").touch()
    for name in ("Snakefile", "cinv_lib/course/excerpt.py", *MACHINE):
        (tmp_path / name).write_text((ROOT / name).read_text())
    (tmp_path / "Makefile").touch()  # by which the library knows its repository
    (tmp_path / "data_prep" / "__main__.py").write_text("open('ran', 'a').write('data\\n')")
    (tmp_path / "cinv_lib/course/site.py").write_text(SITE)
    (tmp_path / "cinv_lib/lab/plan.py").write_text(PLAN)
    (tmp_path / "papermill.py").write_text((ROOT / "tests" / "without_kernel.py").read_text())
    write(tmp_path, "00_start", "")
    write(tmp_path, "01_operators", "")
    write(tmp_path, "05_distill", "print('before'); raise RuntimeError('loss is NaN')")
    return tmp_path


def make(
    folder: Path, *more: str, cores: int | None = None, runs: str | None = None, **config
) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Run the course; returns the process and what ran this time."""
    (folder / "ran").unlink(missing_ok=True)
    given = {"profile": "stickers", "seeds": 1, "lessons": "all", "gpus": ""} | config
    cores = cores or len(given["gpus"].split()) or 1
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--scheduler", "greedy"]
    command += ["--nolock", "--rerun-incomplete", "--keep-going"]
    quiet = ["host", "reason"] if "--dry-run" in more else ["host", "progress", "rules", "reason"]
    command += [*more, "--quiet", *quiet, "--config"]
    command += [f"{key}={value}" for key, value in given.items()]
    bin = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{bin}:{os.environ['PATH']}", "PYTHONPATH": str(folder)}
    environment |= {"JUPYTER_PREFER_ENV_PATH": "1", "IPYTHONDIR": str(folder / ".ipython")}
    environment |= {"CINV_RUNS": runs} if runs else {}
    if runs is None:
        environment.pop("CINV_RUNS", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    ran = (folder / "ran").read_text().splitlines() if (folder / "ran").exists() else []
    return done, ran


def test_course_stops_and_goes_on(course):
    """One story, as every step needs the one before. It begins with papermill and its kernels."""
    (course / "papermill.py").rename(course / "without_kernel.py")
    done, ran = make(course)
    run = course / "runs" / "stickers"
    assert done.returncode != 0
    # the lesson that failed did not keep the others from running, with the profile and the seeds
    lessons = ["00 stickers 1", "01 stickers 1", "05 stickers 1"]
    assert sorted(ran) == [*lessons, STUDENT, "baseline", "data", "scores"]
    # what a lesson needs was made before it, and in its order; the training is only its own cells
    assert max(ran.index(STUDENT), ran.index("baseline")) < ran.index("scores")
    assert ran.index("scores") < ran.index(lessons[2])
    report = nbformat.read(run / "trainings" / "05-student.ipynb", as_version=4)
    assert [cell.metadata.tags[0] for cell in report.cells] == [
        "parameters",
        "injected-parameters",
        "training",
    ]
    # and left its notebook, its printed lines, and a sentence
    assert "loss is NaN" in (run / "logs" / "05_distill.failed.ipynb").read_text()
    assert "before" in (run / "logs" / "05_distill.log").read_text()
    assert "lesson 05_distill stopped: see" in done.stdout + done.stderr
    assert not (run / "site/index.html").exists()

    write(course, "05_distill", "")  # mended: it alone runs
    done, ran = make(course)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran == ["05 stickers 1"]
    assert (run / "site/index.html").read_text() == "00_start 01_operators 05_distill"
    assert not list((run / "logs").glob("*.failed.ipynb"))
    (course / "without_kernel.py").rename(course / "papermill.py")

    # new outputs are no new lesson: committing a run must not make it run again
    out = nbformat.v4.new_output("stream", text="an output")
    write(course, "00_start", "", [out])
    done, ran = make(course)
    assert done.returncode == 0 and ran == []

    # nor are other cores
    done, ran = make(course, cores=2)
    assert done.returncode == 0 and ran == []

    # another number of seeds, another library: everything that depends on it
    done, ran = make(course, seeds=3, lessons="00")
    assert ran == ["00 stickers 3"]
    (course / "cinv_lib" / "losses.py").write_text("tau = 0.2")
    done, ran = make(course, seeds=3, lessons="00,1")
    assert sorted(ran) == ["00 stickers 3", "01 stickers 3"]


def test_all_rows_of_the_tables_are_made_where_they_are_asked_for(course):
    write(course, "05_distill", "")
    _, ran = make(course, lessons="05")
    assert "more" not in ran
    _, ran = make(course, lessons="05", tables="all")
    assert ran == ["more", "05 stickers 1"], "what is there is not made again, and 05 shows more"
    done, ran = make(course, lessons="05", tables="some")
    assert done.returncode == 0 and "scores" not in ran and "more" not in ran


def test_a_kernel_may_take_long_to_start(course):
    """papermill's own minute is over where a machine is busy, or its lid was closed."""
    (course / "papermill.py").write_text("import sys; open('ran', 'a').write(f'{sys.argv}\\n')")
    _, ran = make(course)
    asked = [line for line in ran if "--kernel" in line]
    assert len(asked) >= 3 and all("'--start-timeout', '600'" in line for line in asked)


def test_a_training_runs_again_when_its_description_or_its_cells_change_and_not_with_the_code(
    course, monkeypatch
):
    write(course, "05_distill", "")
    _, ran = make(course, lessons="05")
    assert sorted(ran[:3]) == [STUDENT, "baseline", "data"]
    assert ran[3:] == ["scores", "05 stickers 1"]
    (course / "cinv_lib" / "losses.py").write_text("tau = 0.2")
    write(course, "05_distill", "another = 1")
    _, ran = make(course, lessons="05")
    assert ran == ["05 stickers 1"]
    write(course, "05_distill", "another = 1", training=f"{TRAINING}\nmore = 1")
    _, ran = make(course, lessons="05")
    assert ran == [STUDENT, "scores", "05 stickers 1"]
    monkeypatch.setenv("ADDRESS", "b2")
    (course / "cinv_lib" / "losses.py").write_text("tau = 0.3")
    _, ran = make(course, lessons="05")
    assert sorted(ran[:2]) == [STUDENT, "baseline"] and ran[2:] == ["scores", "05 stickers 1"]


def test_a_training_that_stops_says_where_it_says_why(course):
    write(course, "05_distill", "", training="print('so far'); assert seed is None, 'loss is NaN'")
    done, ran = make(course, lessons="00 05")
    assert done.returncode != 0 and sorted(ran) == ["00 stickers 1", "baseline", "data"]
    assert "AssertionError: loss is NaN" in done.stdout + done.stderr
    failed = "runs/stickers/logs/05-student.failed.ipynb"
    assert f"student stopped: see {failed}" in done.stdout + done.stderr
    assert "loss is NaN" in (course / failed).read_text()
    assert "so far" in (course / "runs/stickers/logs/05-student.log").read_text()
    assert not (course / "runs/stickers/trainings/05-student.ipynb").exists()


def test_a_measurement_that_stops_says_where_it_says_why(course):
    plan = course / "cinv_lib/lab/plan.py"
    plan.write_text(PLAN.replace('["scores", *', '["broken", *'))
    done, ran = make(course, lessons="00 05")
    assert done.returncode != 0 and sorted(ran) == ["00 stickers 1", "broken", "data"]
    assert "AssertionError" in done.stdout + done.stderr
    assert "broken stopped: see runs/stickers/logs/broken.log" in done.stdout + done.stderr


def test_a_lesson_that_sums_up_waits_for_those_that_are_asked_for_with_it(course):
    plan = course / "cinv_lib/lab/plan.py"
    plan.write_text(PLAN.replace('{"lessons":', '{"sums_up": ["01"], "lessons":'))
    write(course, "05_distill", "")
    _, ran = make(course, lessons="00 01")
    assert sorted(ran) == ["00 stickers 1", "01 stickers 1", "data"]  # it makes nothing of theirs
    _, ran = make(course, lessons="01 05")
    assert ran.index("scores") < ran.index("01 stickers 1")  # and runs again when there is more
    _, ran = make(course, lessons="01 05")
    assert ran == []


def test_the_graph_names_each_notebook_with_its_parameters(course):
    done, ran = make(course, "--dry-run", seeds=3)
    assert done.returncode == 0 and ran == []
    shown = [line.partition(": ")[2] for line in done.stdout.splitlines() if ": " in line]
    trains = "-p profile stickers -p operator mask:0.5..0.9 -p seed 2 -p loss st:0.1,weight=0.5"
    assert f"papermill notebooks/05_distill.ipynb {trains}" in shown
    assert "papermill notebooks/00_start.ipynb -p profile stickers -p seeds 3" in shown
    assert "python -m cinv_lib.lab.plan stickers --make baseline" in shown


def test_under_slurm_a_job_uses_the_cores_that_it_asked_for(course):
    write(course, "05_distill", "", training="import os; print(os.environ['OMP_NUM_THREADS'])")
    done, _ = make(course, "--until", "training", slurm=1, lessons="05", cores=64)
    assert done.returncode == 0, done.stdout + done.stderr
    report = nbformat.read(course / "runs/stickers/trainings/05-student.ipynb", as_version=4)
    assert report.cells[-1].outputs[0].text == "4\n"


@pytest.mark.parametrize(
    ("profile", "size"),
    [("stickers", "8000 240 4"), ("imagenet100", "64000 720 8"), ("stl10", "64000 720 8")],
)
def test_under_slurm_the_size_of_a_job_is_the_profiles(course, profile, size):
    snakefile = course / "Snakefile"  # without messages a dry run shows what a job asks for
    text, messages = re.subn(r"    message:\n.*\n", "", snakefile.read_text())
    snakefile.write_text(text)
    done, _ = make(course, "--dry-run", slurm=1, profile=profile, cores=64)
    assert done.returncode == 0 and messages > 4, done.stdout + done.stderr
    memory, minutes, cores = size.split()
    for text in (f"mem_mb={memory}", f"runtime={minutes}", f"threads: {cores}"):
        assert done.stdout.count(text) == 6, text  # a student, a baseline, scores, three lessons


def test_unknown_lesson_is_said_so(course):
    done, ran = make(course, lessons="00 77")
    assert done.returncode != 0 and ran == []
    assert "no lesson '77'; there are: 00 01 05" in done.stdout + done.stderr


def noted_together(lessons: int) -> str:
    """A lesson's code: its GPU is noted in `ran`, once so many lessons have begun."""
    return f"""
import os, time
from pathlib import Path
Path("../begun").mkdir(exist_ok=True)
Path("../begun", str(os.getpid())).touch()
end = time.monotonic() + 60
while len(os.listdir("../begun")) < {lessons} and time.monotonic() < end:
    time.sleep(0.05)
assert len(os.listdir("../begun")) == {lessons}, "they do not run at once"
_ = open("../ran", "a").write(os.environ["CUDA_VISIBLE_DEVICES"] + "\\n")"""


def test_each_job_has_a_gpu_of_its_own(course):
    for name in ("00_start", "01_operators"):
        write(course, name, noted_together(2))
    done, ran = make(course, gpus="4 6", lessons="00 01")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(ran) == ["00 stickers 1", "01 stickers 1", "4", "6", "data"]
    write(course, "05_distill", "")
    done, ran = make(course, gpus="7", lessons="05")
    assert sorted(ran) == ["05 stickers 1", f"{STUDENT} 7", "baseline 7", "scores 7"]


def test_more_jobs_than_gpus_share_them_evenly(course):
    for name in ("00_start", "01_operators", "02_loss", "03_weights"):
        write(course, name, noted_together(4))
    done, ran = make(course, cores=4, gpus="4 6", lessons="00 01 02 03")
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(line for line in ran if line in "46") == ["4", "4", "6", "6"]


HOSTILE = "notes new;touch x;$(touch y) `touch z` 'it' \"s\" * & > [a-z] #\\"


def test_a_folder_for_the_runs_may_have_any_name(course):
    """Unquoted, its words were emptied, removed and run: beside it is a file of the reader's."""
    (course / "notes").write_text("the reader's own")
    folder = course / HOSTILE / "runs" / "stickers"
    done, ran = make(course, runs=str(folder.parent))  # lesson 05 fails, and says where
    said = f"stopped: see {folder.relative_to(course) / 'logs' / '05_distill.failed.ipynb'}"
    assert said in done.stdout + done.stderr
    assert len(ran) == 7
    assert "before" in (folder / "logs" / "05_distill.log").read_text()
    write(course, "05_distill", "")
    done, ran = make(course, runs=str(folder.parent), gpus="0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert ran == ["05 stickers 1"]
    assert (folder / "site/index.html").read_text() == "00_start 01_operators 05_distill"
    assert (folder / ".gpu-0.1.lock").exists()
    assert (course / "notes").read_text() == "the reader's own"
    assert not [name for name in "xyz" if (course / name).exists()]
    assert not (course / "runs").exists()


def test_a_relative_folder_for_the_runs_is_one_for_all(course):
    code = """
import os
kept = os.environ["CINV_RUNS"], os.path.normpath(os.environ["CINV_FRAMES"])  # absolute, both
_ = open("../ran", "a").write("\\n".join(kept) + "\\n")"""
    write(course, "00_start", code)
    done, ran = make(course, runs="my runs", lessons="00")
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(course / "my runs") in ran
    assert str(course / "my runs/stickers/frames/00_start") in ran
    assert (course / "my runs/stickers/site/index.html").exists()


def test_a_folder_that_snakemake_cannot_name_is_refused(course):
    done, ran = make(course, runs="my {runs}", lessons="00")
    assert done.returncode != 0 and ran == [] and "reads { and }" in done.stdout + done.stderr


@pytest.mark.parametrize("gpus", ["0;touch x", "two", "$(touch x)"])
def test_gpus_that_are_none_are_refused(course, gpus):
    done, _ = make(course, "--dry-run", cores=2, gpus=gpus)
    assert done.returncode != 0 and "is no GPU" in done.stdout + done.stderr
    assert not (course / "x").exists()


def test_the_first_gpu_alone_is_given_to_the_jobs(course):
    """snakemake reads "0" as a number, and that is false."""
    write(course, "05_distill", "")
    done, ran = make(course, "--until", "training", gpus="0", lessons="05")
    assert done.returncode == 0 and ran[-1] == f"{STUDENT} 0"


def test_a_job_has_its_share_of_the_cores_that_the_course_may_use(course):
    write(course, "05_distill", "", training="import os; print(os.environ['OMP_NUM_THREADS'])")
    (course / "cinv_lib/machine/host.py").open("a").write("\n\ndef cores():\n    return 12\n")
    done, _ = make(course, "--until", "training", lessons="05", cores=3)
    assert done.returncode == 0, done.stdout + done.stderr
    report = nbformat.read(course / "runs/stickers/trainings/05-student.ipynb", as_version=4)
    assert report.cells[-1].outputs[0].text == "4\n"


def test_no_lesson_at_all_is_said_so(course):
    done, ran = make(course, lessons="")
    assert done.returncode != 0 and ran == [] and "no lesson ''" in done.stdout + done.stderr


def test_a_course_that_is_typed_twice_waits_for_the_first(course):
    """Each would remove the notebooks that the other has made, and one of them would fail."""
    for name in ("00_start", "01_operators", "05_distill"):
        write(course, name, "import time; time.sleep(1)")
    with ThreadPoolExecutor() as both:
        (one, _), (two, _) = both.map(lambda cores: make(course, cores=cores), (2, 2))
    for done in (one, two):
        assert done.returncode == 0, done.stdout + done.stderr
    waited = [d for d in (one, two) if "the course in runs/stickers; waiting" in d.stdout]
    assert len(waited) == 1
    ran = (course / "ran").read_text().splitlines()
    assert sorted(ran) == sorted(["00 stickers 1", "01 stickers 1", "05 stickers 1", STUDENT,
                                  "baseline", "data", "scores"])  # fmt: skip
    assert (course / "runs/stickers/site/index.html").exists()
