"""The store: one address a spec, one build an address, nothing half-finished taken as finished."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cinv_lib.machine import files, locks
from cinv_lib.machine import provenance as where
from cinv_lib.machine import store as store_
from cinv_lib.machine.files import DiskFull
from cinv_lib.machine.store import Store, address, canonical, provenance

ROOT = Path(__file__).parents[2]
SPEC = {"op": "mask:0.9", "seed": 0}


@dataclass(frozen=True)
class Recipe:
    epochs: int
    lr: float = 1e-3
    crop: tuple[float, float] = (1.0, 1.0)


@dataclass(frozen=True)
class Renamed(Recipe):
    pass


@dataclass(frozen=True)
class Mask:
    p: float

    def __str__(self):
        return f"mask:{self.p}"


def write(text):
    return lambda folder: (folder / "result.txt").write_text(text) and None


def must_not_build(folder):
    raise AssertionError("built although it was there")


# -- specs ---------------------------------------------------------------------------------------


def test_canonical_form_of_everything_a_spec_may_hold():
    spec = {
        "recipe": Recipe(25),
        "op": Mask(0.9),
        "n": np.int64(3),
        "x": np.float64(0.5),
        "flag": True,
        "none": None,
        "where": Path("a/b"),
        "list": [1, (2, 3.5)],
    }
    assert canonical(spec) == {
        "recipe": {"epochs": 25, "lr": 0.001, "crop": [1, 1]},
        "op": "mask:0.9",
        "n": 3,
        "x": 0.5,
        "flag": True,
        "none": None,
        "where": "a/b",
        "list": [1, [2, 3.5]],
    }
    json.dumps(canonical(spec), allow_nan=False)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"lr": 1}, {"lr": 1.0}),
        ({"op": Mask(0.9)}, {"op": "mask:0.9"}),
        ({"crop": (1, 1)}, {"crop": [1.0, 1.0]}),
        ({"r": Recipe(5)}, {"r": Recipe(epochs=5, lr=1e-3)}),
        ({"n": np.float32(0.5)}, {"n": 0.5}),
        ({"r": Recipe(1)}, {"r": Renamed(1)}),  # a class may get another name
    ],
)
def test_specs_that_mean_the_same_share_an_address(one, other):
    assert address(one) == address(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"seed": 0}, {"seed": 1}),
        ({"seed": 0}, {"seed": "0"}),
        ({"seed": None}, {}),
        ({"r": Recipe(5)}, {"r": Recipe(5, lr=2e-3)}),
        ({"a": [1, 2]}, {"a": [2, 1]}),
        ({"a": [[1], 2]}, {"a": [1, [2]]}),
        ({"x": 0.1}, {"x": 0.1 + 1e-12}),
    ],
)
def test_specs_that_differ_do_not(one, other):
    assert address(one) != address(other)


def test_address_is_the_sha256_of_the_sorted_json():
    import hashlib

    text = b'{"a":[1,2.5,"\\u03c3"],"b":null}'
    assert address({"b": None, "a": (1, 2.5, "σ")}) == hashlib.sha256(text).hexdigest()[:8]


def test_real_operators_and_losses_by_their_text():
    from cinv_lib.losses.equations import Loss
    from cinv_lib.operators.basic import parse

    for text in ("mask:0.5..0.95", "noise:0.5", "blur:1..5@0.8+noise:0.05..0.5@0.8"):
        assert canonical({"op": parse(text)}) == {"op": text}
    loss = Loss("st", tau=0.2)
    assert canonical({"loss": loss}) == {"loss": str(loss)}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), plain, max_size=4))
def test_canonical_is_idempotent_and_survives_json(spec):
    once = canonical(spec)
    assert canonical(once) == once == json.loads(json.dumps(once))
    assert address(spec) == address(once) == address(dict(reversed(spec.items())))


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ({"images": {"x": [1, np.zeros(3)]}}, TypeError, r"spec\['images'\]\['x'\]\[1\].*ndarray"),
        ({"f": print}, TypeError, "put what identifies it"),
        ({"s": {1, 2}}, TypeError, "set"),
        ({"r": Recipe(1, lr=float("nan"))}, ValueError, r"spec\['r'\]\.lr is nan"),
        ({"a": {1: 2}}, TypeError, r"spec\['a'\] has the key 1"),
    ],
)
def test_what_has_no_canonical_text_is_refused_by_place(spec, error, words):
    with pytest.raises(error, match=words):
        address(spec)


# -- building ------------------------------------------------------------------------------------


def test_builds_once_and_records_where_it_comes_from(tmp_path):
    store = Store(tmp_path / "not" / "yet" / "there")
    assert not store.finished("student", SPEC)
    folder = store.make("student", SPEC, write("42"))
    assert folder == store.path("student", SPEC) and store.finished("student", SPEC)
    assert store.make("student", dict(reversed(SPEC.items())), must_not_build) == folder
    assert sorted(f.name for f in folder.iterdir()) == ["provenance.json", "result.txt"]

    known = provenance(folder)
    assert known["kind"] == "student" and known["spec"] == SPEC
    assert known["address"] == folder.name == address(SPEC)
    assert known["files"] == {"result.txt": 2} and known["attempts"] == 1
    assert re.fullmatch(r"unknown|[0-9a-f]{40}(\+changes)?", known["commit"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", known["date"])
    assert known["python"] == ".".join(map(str, sys.version_info[:3]))
    assert re.search(r", \d+ cores", known["machine"]) and known["torch"] != "unknown"
    assert known["cinv_lib"] == "0.1.0" or re.match(r"\d", known["cinv_lib"])
    assert 0 <= known["minutes"] < 0.1


def test_kinds_are_apart_and_cannot_leave_the_root(tmp_path):
    store = Store(tmp_path)
    assert store.path("student", SPEC) != store.path("probe", SPEC)
    for kind in ("../x", "a/b", "", "A", ".hidden"):
        with pytest.raises(ValueError, match=re.escape(repr(kind))):
            store.path(kind, SPEC)


def test_an_entry_may_ask_for_another_while_it_is_built(tmp_path):
    store = Store(tmp_path)

    def student(folder):
        teacher = store.make("teacher", {"seed": 0}, write("R"))
        (folder / "result.txt").write_text((teacher / "result.txt").read_text() + "S")

    assert (store.make("student", SPEC, student) / "result.txt").read_text() == "RS"


def test_minutes_are_counted_over_attempts(tmp_path):
    store = Store(tmp_path)
    partial = Path(f"{store.path('student', SPEC)}.partial")
    now = time.time()

    def killed(folder):
        (folder / "checkpoint").write_text("half way")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make("student", SPEC, killed)
    # as if it had started ten minutes ago, written its last checkpoint five minutes ago, and died
    (partial / "attempts.json").write_text(json.dumps([{"start": now - 600}]))
    for file in partial.iterdir():
        os.utime(file, (now - 300, now - 300))
    folder = store.make("student", SPEC, write("42"))
    assert provenance(folder)["minutes"] == pytest.approx(5, abs=0.1)
    assert provenance(folder)["attempts"] == 2
    assert not (folder / "attempts.json").exists()


def test_cpu_minutes_are_of_what_is_computed_and_not_of_the_clock(tmp_path):
    def busy(folder):
        until = time.process_time() + 0.6
        while time.process_time() < until:
            pass

    def idle(folder):
        time.sleep(0.6)

    computed, slept = (
        provenance(Store(tmp_path).make("student", {"seed": k}, build))["cpu_minutes"] * 60
        for k, build in enumerate((busy, idle))
    )
    assert 0.5 < computed < 5 and slept < 0.4


def test_the_threads_of_a_result_are_those_of_torch(tmp_path):
    import torch

    known = provenance(Store(tmp_path).make("student", SPEC, write("42")))
    assert known["threads"] == torch.get_num_threads()


@pytest.mark.parametrize("left", ["", "[]", "{", '[{"start": 0}, 3]', '{"a": 1}'])
def test_a_broken_record_of_attempts_stops_nothing(tmp_path, left):
    store = Store(tmp_path)
    partial = Path(f"{store.path('student', SPEC)}.partial")
    partial.mkdir(parents=True)
    (partial / "attempts.json").write_text(left)
    assert provenance(store.make("student", SPEC, write("42")))["minutes"] >= 0


def test_a_failed_build_keeps_its_folder_and_its_own_error(tmp_path):
    store = Store(tmp_path)

    def fails(folder):
        (folder / "checkpoint").write_text("7")
        raise FloatingPointError("the loss is nan")

    with pytest.raises(FloatingPointError, match="the loss is nan"):
        store.make("student", SPEC, fails)
    assert not store.finished("student", SPEC)
    assert store.listing().state.tolist() == ["partial"]

    def resumes(folder):
        (folder / "result.txt").write_text((folder / "checkpoint").read_text() + "8")

    assert (store.make("student", SPEC, resumes) / "result.txt").read_text() == "78"
    assert store.listing().state.tolist() == ["finished"]


# -- several processes, and kills ----------------------------------------------------------------

COUNT_TO_5 = """
import sys, time
from pathlib import Path
from cinv_lib.machine.store import Store

def build(folder):
    with open(sys.argv[2], "a") as log:
        log.write("build\\n")
    file = folder / "count"
    done = int(file.read_text()) if file.exists() else 0
    for step in range(done, 5):
        with open(sys.argv[2], "a") as log:
            log.write(f"step {step}\\n")
        (folder / "temporary").write_text(str(step + 1))
        (folder / "temporary").replace(file)
        time.sleep(float(sys.argv[3]))

print(Store(sys.argv[1]).make("count", {"to": 5}, build), flush=True)
"""


def count_to_5(root, log, pause):
    return subprocess.Popen(
        [sys.executable, "-c", COUNT_TO_5, str(root), str(log), str(pause)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.01)


def test_resumes_in_the_same_folder_after_kill_9(tmp_path):
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    partial = Path(f"{store.path('count', {'to': 5})}.partial")
    process = count_to_5(store.root, log, 30)
    wait_for((partial / "count").exists)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert partial.is_dir() and not store.finished("count", {"to": 5})

    resumed = count_to_5(store.root, log, 0)
    folder = Path(resumed.communicate(timeout=300)[0].strip())
    assert folder == store.path("count", {"to": 5}) and store.finished("count", {"to": 5})
    assert (folder / "count").read_text() == "5" and not partial.exists()
    steps = [line for line in log.read_text().split("\n") if line.startswith("step")]
    assert steps == [f"step {i}" for i in range(5)]  # none twice: the second went on from there
    assert provenance(folder)["attempts"] == 2


def test_processes_that_race_build_once(tmp_path):
    log = tmp_path / "log"
    racing = [count_to_5(tmp_path / "store", log, 0.1) for _ in range(2)]
    texts = [process.communicate(timeout=300)[0].strip().split("\n") for process in racing]
    assert [process.returncode for process in racing] == [0, 0]
    assert texts[0][-1] == texts[1][-1] == str(Store(tmp_path / "store").path("count", {"to": 5}))
    assert log.read_text().count("build") == 1


def test_who_waits_is_told_why(tmp_path, capsys):
    store, started, go_on = Store(tmp_path), threading.Event(), threading.Event()

    def slow(folder):
        started.set()
        assert go_on.wait(30)
        (folder / "result.txt").write_text("slow")

    builder = threading.Thread(target=store.make, args=("student", SPEC, slow))
    builder.start()
    assert started.wait(30)
    waiter = threading.Thread(target=store.make, args=("student", SPEC, must_not_build))
    waiter.start()
    told = ""

    def is_told():
        nonlocal told
        told += capsys.readouterr().out
        return f"building student {address(SPEC)}" in told

    wait_for(is_told)
    go_on.set()
    builder.join()
    waiter.join()
    assert (store.path("student", SPEC) / "result.txt").read_text() == "slow"


# -- damage --------------------------------------------------------------------------------------


def truncate(folder):
    (folder / "result.txt").write_text("4")


def lose(folder):
    (folder / "result.txt").unlink()


def forget(folder):
    (folder / "provenance.json").unlink()


def garble(folder):
    (folder / "provenance.json").write_text('{"spec": {"op"')


def empty(folder):
    (folder / "provenance.json").write_text("{}")


def another(folder):
    known = provenance(folder)
    known["spec"]["seed"] = 1
    (folder / "provenance.json").write_text(json.dumps(known))


def foreign(folder):
    (folder / "provenance.json").write_text("[1, 2]")


DAMAGES = [truncate, lose, forget, garble, empty, another, foreign]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_a_damaged_entry_is_built_anew_and_the_old_one_kept(tmp_path, damage):
    store = Store(tmp_path)
    folder = store.make("student", SPEC, write("42"))
    damage(folder)
    assert not store.finished("student", SPEC)
    before = sorted((f.name, f.read_bytes()) for f in folder.iterdir())
    with pytest.warns(UserWarning, match="is damaged .*kept as"):
        store.make("student", SPEC, write("43"))
    assert (folder / "result.txt").read_text() == "43" and store.finished("student", SPEC)
    aside = folder.with_name(folder.name + ".damaged-1")
    assert sorted((f.name, f.read_bytes()) for f in aside.iterdir()) == before
    assert sorted(store.listing().state) == ["damaged", "finished"]


def test_a_bare_folder_or_a_partial_one_is_not_an_entry(tmp_path):
    store = Store(tmp_path)
    store.path("student", SPEC).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="not a finished entry"):
        provenance(store.path("student", SPEC))
    assert not store.finished("student", SPEC)
    assert store.listing().state.tolist() == ["damaged"]


def test_files_added_later_do_not_matter(tmp_path):
    store = Store(tmp_path)
    folder = store.make("student", SPEC, write("42"))
    (folder / "notes.txt").write_text("a good one")
    assert store.make("student", SPEC, must_not_build) == folder


# -- a full disk ---------------------------------------------------------------------------------


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def quota(*_, **__):
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def dev_full(folder):
    with open("/dev/full", "w") as file:  # a real refusal by the system
        file.write("x")


def as_safetensors_says_it(folder):
    raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


def as_torch_save_says_it(folder):
    raise RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 576 vs 534")


def wrapped(folder):
    try:
        no_space()
    except OSError as error:
        raise RuntimeError("could not write the checkpoint") from error


FULL = [no_space, quota, dev_full, as_safetensors_says_it, as_torch_save_says_it, wrapped]


@pytest.mark.parametrize("full", FULL, ids=lambda f: f.__name__)
def test_a_full_disk_while_building(tmp_path, full):
    if full is dev_full and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    store = Store(tmp_path)
    other = store.make("student", {"seed": 1}, write("finished before"))

    def build(folder):
        (folder / "checkpoint").write_text("half way")
        full(folder)

    with pytest.raises(DiskFull, match=r"disk is full \(\d+ MB free.*student.*Nothing finished"):
        store.make("student", SPEC, build)
    assert not store.finished("student", SPEC) and store.finished("student", {"seed": 1})
    assert (other / "result.txt").read_text() == "finished before"

    def go_on(folder):
        assert (folder / "checkpoint").read_text() == "half way"
        (folder / "result.txt").write_text("42")

    assert store.make("student", SPEC, go_on)


@pytest.mark.parametrize("place", ["write_text", "mkdir", "lock"])
def test_a_full_disk_in_the_store_itself(tmp_path, monkeypatch, place):
    store = Store(tmp_path)
    other = store.make("student", {"seed": 1}, write("finished before"))
    before = sorted(tmp_path.rglob("*"))
    where_it_fails = {
        "write_text": (Path, "write_text"),
        "mkdir": (Path, "mkdir"),
        "lock": (locks.filelock.FileLock, "acquire"),
    }
    monkeypatch.setattr(*where_it_fails[place], no_space)
    with pytest.raises(DiskFull, match="disk is full"):
        store.make("student", SPEC, must_not_build)
    monkeypatch.undo()
    assert set(before) <= set(tmp_path.rglob("*"))
    assert not list(tmp_path.rglob("*.tmp"))
    assert store.make("student", {"seed": 1}, must_not_build) == other
    assert store.make("student", SPEC, write("42"))


def test_a_full_disk_while_finishing(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def build(folder):
        (folder / "result.txt").write_text("42")
        monkeypatch.setattr(store_, "write_text", no_space)

    with pytest.raises(DiskFull):
        store.make("student", SPEC, build)
    monkeypatch.undo()
    assert not store.finished("student", SPEC)
    assert (store.make("student", SPEC, lambda folder: None) / "result.txt").read_text() == "42"


def test_other_errors_are_not_called_a_full_disk(tmp_path):
    def denied(folder):
        raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError, match="Permission denied"):
        Store(tmp_path).make("student", SPEC, denied)


def test_write_text_keeps_the_old_file_when_it_fails(tmp_path, monkeypatch):
    file = tmp_path / "x.json"
    files.write_text(file, "old")
    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError):
        files.write_text(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


# -- listing and provenance ----------------------------------------------------------------------


def test_listing(tmp_path):
    store = Store(tmp_path)
    assert store.listing().empty and "state" in store.listing()
    store.make("student", SPEC, write("x" * 10_000))
    store.make("probe", {"seed": 3}, write("y"))
    listing = store.listing().set_index("kind")
    assert listing.loc["student", "spec"] == SPEC
    assert listing.loc["student", "mb"] == pytest.approx(0.01, abs=0.006)
    assert Path(listing.loc["probe", "path"]) == store.path("probe", {"seed": 3})
    assert set(listing.state) == {"finished"}


LABELS = ("mask_0.9-seed0", "mask_0.5..0.95-st_0.1,weight=0.5-seed2", "blur_0.29..1.43@0.8+noise")


@pytest.mark.parametrize("label", LABELS)
def test_a_label_with_dots_is_listed_with_the_state_of_its_folder(tmp_path, label):
    """The state is what stands after the last dot, and only "partial" and "damaged" are states."""
    store = Store(tmp_path)

    def state():
        (row,) = store.listing().itertuples()
        return row.address, row.state

    def fails(folder):
        raise FloatingPointError

    with pytest.raises(FloatingPointError):
        store.make("student", SPEC, fails, label)
    name = f"{label}-{address(SPEC)}"
    assert state() == (name, "partial")
    folder = store.make("student", SPEC, write("42"), label)
    assert folder.name == name and state() == (name, "finished")
    assert store.finished("student", SPEC, label) and provenance(folder)["address"] == name
    lose(folder)
    assert state() == (name, "damaged")
    with pytest.warns(UserWarning, match=r"kept as .*\.damaged-1"):
        store.make("student", SPEC, write("43"), label)
    listing = store.listing()
    assert set(listing.address) == {name}
    assert sorted(listing.state) == ["damaged", "finished"]


def test_a_label_is_a_name_for_files_whatever_it_holds(tmp_path):
    store = Store(tmp_path)
    folder = store.make("student", SPEC, write("42"), label="a:b|c/../d e")
    assert folder.parent == tmp_path / "student"
    assert folder.name == f"a_b_c_.._d_e-{address(SPEC)}"
    assert store.path("student", SPEC) != folder  # without its label it is another entry


def test_the_recorded_folders_can_be_read():
    listing = Store(ROOT / "notebooks" / "recorded" / "stickers").listing()
    assert len(listing) > 50 and set(listing.state) == {"finished"}
    for entry in listing.itertuples():
        assert re.fullmatch(r".+-seed\d+-[0-9a-f]{8}", entry.address)
        assert f"-seed{entry.spec['seed']}-" in entry.address
        needs = json.dumps(entry.spec["needs"]).replace("per_class", "")
        assert entry.spec["kind"] == entry.kind and "class" not in needs


def git(folder, *arguments):
    identity = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, stdout=-3)


def test_commit_names_the_state_of_the_code(tmp_path, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    assert where.commit(package) == "unknown"  # no repository
    git(tmp_path, "init", "-q")
    assert where.commit(package) == "unknown"  # no commit
    (package / "a.py").write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "one")
    clean = where.commit(package)
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (tmp_path / "notebook.ipynb").write_text("outputs are not code")
    assert where.commit(package) == clean
    (package / "a.py").write_text("2")
    assert where.commit(package) == clean + "+changes"
    monkeypatch.setenv("PATH", "")
    assert where.commit(package) == "unknown"  # no git
    assert where.describe()["commit"] == "unknown"


def test_a_byte_that_the_disk_has_changed_is_found_out(tmp_path):
    store = Store(tmp_path)

    def build(folder):
        (folder / "weights.bin").write_bytes(b"abc")

    folder = store.make("example", SPEC, build)
    assert store.intact("example", SPEC)
    (folder / "weights.bin").write_bytes(b"abd")  # as long as before
    assert not store.intact("example", SPEC)
    with pytest.warns(UserWarning, match=r"weights\.bin has other bytes .* kept as .*damaged-1"):
        assert store.make("example", SPEC, build) == folder
    assert (folder / "weights.bin").read_bytes() == b"abc"


def test_what_is_only_asked_for_is_not_read(tmp_path, monkeypatch):
    """Weights have hundreds of megabytes, and a plan asks for all of them."""
    kept = Store(tmp_path)
    kept.make("example", SPEC, lambda at: (at / "weights.bin").write_bytes(b"abc"))
    monkeypatch.setattr(store_, "_digest", None)  # to call it is an error
    assert kept.finished("example", SPEC) and kept.listing().state.tolist() == ["finished"]
    with pytest.raises(TypeError):
        kept.make("example", SPEC, None)


def test_an_entry_from_before_digests_were_kept_is_finished(tmp_path):
    store = Store(tmp_path)
    folder = store.make("example", SPEC, lambda at: (at / "a").write_text("a"))
    known = json.loads((folder / "provenance.json").read_text())
    del known["sha256"]
    (folder / "provenance.json").write_text(json.dumps(known))
    assert store.intact("example", SPEC)


@pytest.mark.parametrize("jump", [-24 * 3600.0, 365 * 24 * 3600.0])
def test_a_clock_that_is_set_makes_no_minutes(tmp_path, monkeypatch, jump):
    """While an attempt is made, and after one was killed."""
    store, real = Store(tmp_path), time.time

    def stopped(folder):
        (folder / "checkpoint.pt").touch()
        then = real() + jump
        os.utime(folder / "checkpoint.pt", (then, then))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make("example", SPEC, stopped)
    later = store.path("example", SPEC).with_suffix(".partial")
    for file in later.iterdir():
        os.utime(file, (real() + jump, real() + jump))

    def build(folder):
        monkeypatch.setattr(store_.time, "time", lambda: real() + jump)

    known = provenance(store.make("example", SPEC, build))
    assert 0 <= known["minutes"] < 1
    assert known["attempts"] == 2


@pytest.mark.parametrize("text", ["[" * 100_000, '{"files": {"%s": 1}, "spec": 0}' % ("é" * 300)])
def test_a_provenance_that_is_none_is_damage(tmp_path, text):
    store = Store(tmp_path)
    folder = store.make("example", SPEC, lambda at: (at / "a").write_text("a"))
    (folder / "provenance.json").write_text(text)
    assert store.listing().state.tolist() == ["damaged"]
    with pytest.warns(UserWarning, match="built anew"):
        store.make("example", SPEC, lambda at: (at / "a").write_text("a"))
