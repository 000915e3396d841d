"""The line that says how a course goes, and what is shown of a runner's words."""

import os
import pty
import shlex
import signal
import subprocess
import sys
import time

import pytest

from cinv_lib.course import monitor


def heard(course, text):
    return [line for line in text.splitlines(keepends=True) if course.hear(line)]


COURSE = """Assuming unrestricted shared filesystem usage.
Building DAG of jobs...
job               count
--------------  -------
student               3
total                 3

Select jobs to execute...
Execute 2 jobs...
begun student-mask_0.9-seed0 on GPU 0
begun baseline-mask_0.9-seed0 on GPU 1
"""


def test_what_runs_where_and_how_fast(tmp_path):
    course = monitor.Course(tmp_path)
    assert course.line() == "beginning"
    assert heard(course, COURSE) == []
    (tmp_path / "student-mask_0.9-seed0.speed").write_text("1385 images/s, epoch 3")
    assert course.line() == (
        "beginning; running: student-mask_0.9-seed0 (GPU 0, 1385 images/s, epoch 3), "
        "baseline-mask_0.9-seed0 (GPU 1)"
    )


def test_ends_and_faults_are_shown_and_no_longer_run(tmp_path):
    course = monitor.Course(tmp_path)
    heard(course, COURSE)
    said = "student-mask_0.9-seed0: done in 61 min 5 s\n1 of 3 steps (33%) done\n"
    assert heard(course, said) == ["student-mask_0.9-seed0: done in 61 min 5 s\n"]
    said = "RuntimeError: CUDA out of memory\nbaseline-mask_0.9-seed0 stopped: see logs/x.log\n"
    assert heard(course, said) == said.splitlines(keepends=True)
    assert course.line() == "1 of 3 done"


def test_the_time_left_is_that_of_jobs_of_a_kind(tmp_path, monkeypatch):
    """Two of a kind that took 10 minutes are left beside one that has run for 4; two at once."""
    now = 1000.0
    monkeypatch.setattr(monitor.time, "monotonic", lambda: now)
    course = monitor.Course(tmp_path)
    for name in ("a", "b"):
        heard(course, f"begun student-{name}\nstudent-{name}: done in 10 min 0 s\n")
    assert course.left() is None
    heard(course, "begun student-c\nstudent-c: done in 10 min 0 s\n3 of 7 steps (43%) done\n")
    heard(course, "begun student-d\nbegun student-e\n")
    now += 240
    # d and e each have 6 minutes left, and two more take 10: 32 minutes, on two
    assert course.left() == pytest.approx((2 * 360 + 2 * 600) / 2)
    assert course.line().endswith("about 16 min left")
    heard(course, "student-d: done in 10 min 0 s\n4 of 7 steps (57%) done\n")
    assert course.left() == pytest.approx((360 + 2 * 600) / 2), "there will be two again"
    assert monitor.duration(3 * 3600 + 60) == "3 h 1 min"


def monitored(folder, code):
    """A runner of these lines of Python, piped as the Makefile does it."""
    runner = shlex.join([sys.executable, "-c", code])
    shown = shlex.join([sys.executable, "-m", "cinv_lib.course.monitor", str(folder)])
    return ["bash", "-c", f"set -o pipefail; {runner} 2>&1 | {shown}"]


TALKS = """
import sys, time
print("Select jobs to execute...")
print("begun student-a")
print("student-a: done in 0 min 1 s", flush=True)
print("1 of 1 steps (100%) done", file=sys.stderr)
sys.exit(3)
"""


def test_all_that_the_runner_says_is_kept_and_its_end_is_handed_on(tmp_path):
    done = subprocess.run(monitored(tmp_path, TALKS), capture_output=True, text=True, timeout=60)
    assert done.returncode == 3 and not done.stderr
    assert done.stdout == "student-a: done in 0 min 1 s  [beginning]\n"
    kept = (tmp_path / "logs/snakemake.log").read_text()
    assert "Select jobs" in kept and "1 of 1 steps" in kept


def test_on_a_terminal_the_line_stays_below(tmp_path):
    ours, theirs = pty.openpty()
    wait = "import time; print('begun student-a', flush=True); time.sleep(3)"
    child = subprocess.Popen(monitored(tmp_path, wait), stdout=theirs)
    child.wait(60)
    os.close(theirs)
    assert b"running: student-a" in os.read(ours, 10000)


def test_a_key_pressed_to_stop_stops_the_runner_first(tmp_path):
    """Both are in the group of the terminal; the runner says what it has to, and then all ends."""
    waits = (
        "import time\ntry:\n print('begun x', flush=True); time.sleep(60)\n"
        "except KeyboardInterrupt:\n print('its jobs are ended')\n raise SystemExit(7)"
    )
    child = subprocess.Popen(
        monitored(tmp_path, waits),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background, keys are none of theirs.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    log = tmp_path / "logs/snakemake.log"
    for _ in range(600):
        if log.is_file() and "begun" in log.read_text():
            break
        time.sleep(0.1)
    os.killpg(child.pid, signal.SIGINT)
    out, _ = child.communicate(timeout=60)
    assert "its jobs are ended" in out and child.returncode != 0
