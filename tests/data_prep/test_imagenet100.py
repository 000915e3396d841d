"""data_prep imagenet100 and imagenet100c, on tiny trees of each layout that is about."""

import csv
import importlib.util
import os
import shutil
import sys
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from scipy.io import savemat

from cinv_lib.data import linked
from data_prep import __main__ as command
from data_prep import imagenet, imagenet100, imagenet100c, links

ALL = sorted(
    {**imagenet100.classes("imagenet100"), **imagenet100.classes("imagenet100b")}
    | dict.fromkeys(imagenet100.shift())
)
TINY = {  # pictures a class: 1 for training, 2 for validation
    "imagenet100": {"train": 100, "val": 200},
    "imagenet100b": {"train": 100, "val": 200},
    "imagenet100-shift": {"val": 10},
}


def colour(wnid: str) -> tuple[int, int, int]:
    k = ALL.index(wnid)
    return 16 * (k % 15) + 8, 16 * (k // 15) + 8, 128


def jpeg(wnid: str) -> bytes:
    """A tiny picture that shows its class by its colour."""
    out = BytesIO()
    Image.new("RGB", (20, 16), colour(wnid)).save(out, "JPEG", quality=95)
    return out.getvalue()


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of ImageNet as image-net.org's, with folders by class in both splits."""
    root = tmp_path_factory.mktemp("imagenet")
    for wnid in [*ALL, "n01440764"]:  # and a class that is in no list
        data = jpeg(wnid if wnid in ALL else ALL[0])
        for split, count in (("train", 1), ("val", 2)):
            (root / split / wnid).mkdir(parents=True)
            for i in range(count):
                (root / split / wnid / f"{wnid}_{i}.JPEG").write_bytes(data)
    return root


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(imagenet100, "VAL_PER_CLASS", 2)


def flat(source: Path, root: Path, val: str = "val") -> dict[int, str]:
    """The validation pictures in one folder, in an order that is none of classes."""
    (root / val).mkdir(parents=True)
    found = sorted((source / "val").glob("*/*.JPEG"))
    order = np.random.default_rng(0).permutation(len(found))
    wnids = {}
    for number, place in enumerate(order, start=1):
        wnids[number] = found[place].parent.name
        os.link(found[place], root / val / f"ILSVRC2012_val_{number:08}.JPEG")
    return wnids


def devkit(root: Path, wnids: dict[int, str], packed: bool) -> None:
    """ImageNet's development kit: its numbers are in another order than the wnids."""
    ids = {wnid: k for k, wnid in enumerate(reversed(sorted(set(wnids.values()))), start=1)}
    kind = [("ILSVRC2012_ID", float), ("WNID", object), ("words", object)]
    table = np.array([(k, wnid, "words") for wnid, k in ids.items()], dtype=kind)
    data = root / imagenet.DEVKIT / "data"
    data.mkdir(parents=True)
    savemat(data / "meta.mat", {"synsets": table[:, None]})
    truth = "".join(f"{ids[wnids[i]]}\n" for i in sorted(wnids))
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text(truth)
    if packed:
        with tarfile.open(root / f"{imagenet.DEVKIT}.tar.gz", "w:gz") as archive:
            archive.add(root / imagenet.DEVKIT, imagenet.DEVKIT)
        shutil.rmtree(root / imagenet.DEVKIT)


def lay_out(layout: str, source: Path, root: Path) -> Path:
    if layout == "folders":
        return source
    if layout == "kaggle":
        inner = root / "ILSVRC" / "Data" / "CLS-LOC"
        wnids = flat(source, inner)
        (inner / "train").symlink_to(source / "train")
        with (root / imagenet.KAGGLE).open("w", newline="") as f:
            writer = csv.writer(f)
            writer.writerow(["ImageId", "PredictionString"])
            for number in sorted(wnids, reverse=True):
                writer.writerow([f"ILSVRC2012_val_{number:08}", f"{wnids[number]} 1 2 3 4 "])
        return root
    wnids = flat(source, root, "ILSVRC2012_img_val")
    (root / "train").symlink_to(source / "train")
    if layout == "synsets":
        text = "".join(f"{wnids[i]}\n" for i in sorted(wnids))
        (root / imagenet.SYNSETS).write_text(text)
    else:
        devkit(root, wnids, packed=layout == "devkit, packed")
    return root


# -- the lists ---------------------------------------------------------------------------------
def test_the_lists_are_those_of_the_paper():
    one, other, shift = (imagenet100.classes("imagenet100"), imagenet100.classes("imagenet100b"),
                         imagenet100.shift())  # fmt: skip
    assert len(one) == len(other) == 100 and not set(one) & set(other)
    assert list(one) == sorted(one) and list(other) == sorted(other)
    # the authors' indices of the five targets, in the order of Table 3
    assert [list(one).index(target) for target in shift.values()] == [53, 8, 68, 40, 21]
    assert not set(shift) & set(one)
    assert set(shift) & set(other) == {"n03792782"}  # the mountain bike is in ImageNet-100B too
    ends = min(one), max(one), min(other), max(other)
    assert ends == ("n01558993", "n13040303", "n01484850", "n12985857")


def test_the_names_belong_to_the_wnids():
    """timm has ImageNet's wnids, torchvision the names, both in the order of the sorted wnids."""
    timm = Path(importlib.util.find_spec("timm").submodule_search_locations[0])
    wnids = (timm / "data" / "_info" / "imagenet_synsets.txt").read_text().split()
    names = torchvision.models.ResNet101_Weights.IMAGENET1K_V1.meta["categories"]
    known = dict(zip(wnids, names, strict=True))
    for name in ("imagenet100", "imagenet100b"):
        for wnid, words in imagenet100.classes(name).items():
            assert known[wnid] == words
    lines = (imagenet100.LISTS / "shift.txt").read_text().splitlines()
    for line in lines:
        wnid, target, words = line.split(" ", 2)
        assert words == f"{known[wnid]} -> {known[target]}"


# -- layouts -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "layout", ["folders", "kaggle", "synsets", "devkit", "devkit, packed"]
)  # fmt: skip
def test_every_picture_gets_the_label_of_what_it_shows(layout, source, home, tmp_path, capsys):
    root = lay_out(layout, source, tmp_path / "copy")
    imagenet100.make(root, expected=TINY)
    said = capsys.readouterr().out
    for name, counts in TINY.items():
        for split, total in counts.items():
            files = linked.load(name, split)
            assert len(files) == total
            assert f"OK  {name}/{split}: {total} pictures" in said
            if (name, split) == ("imagenet100b", "train"):
                continue
            shown = files.decode(short=16, crop=8).float().mean((2, 3))
            own = imagenet100.classes("imagenet100" if "shift" in name else name)
            if "shift" in name:
                wanted = {s: list(own).index(t) for s, t in imagenet100.shift().items()}
            else:
                wanted = {wnid: k for k, wnid in enumerate(own)}
            table = torch.tensor([colour(wnid) for wnid in wanted]).float()
            nearest = torch.cdist(shown, table).argmin(1)
            assert torch.tensor(list(wanted.values()))[nearest].equal(files.labels)
            assert torch.cdist(shown, table).min(1).values.max() < 5


def test_pictures_are_linked_and_never_copied_or_lost(source, home, tmp_path, monkeypatch):
    root = lay_out("synsets", source, tmp_path / "copy")
    before = sorted(str(p) for p in root.rglob("*"))
    imagenet100.make(source, expected=TINY)
    monkeypatch.chdir(tmp_path)  # another layout, in the place of the first, by a relative path
    imagenet100.make(Path("copy"), expected=TINY)
    monkeypatch.chdir("/")
    for name, split in (("imagenet100", "val"), ("imagenet100b", "train")):
        assert not linked.load(name, split).per_class(1).unreadable()
    own = [Path(d, f) for d, _, files in os.walk(home) for f in files]
    assert {p.name for p in own if not p.is_symlink()} == {"set.json"}
    assert sorted(p.name for p in home.iterdir()) == sorted(TINY)  # nothing is left over
    assert sorted(str(p) for p in root.rglob("*")) == before
    assert len(list((source / "val").glob("*/*"))) == 2 * (len(ALL) + 1)


def test_a_run_that_is_killed_leaves_the_old_set_whole(source, home, monkeypatch):
    imagenet100.make(source, expected=TINY)
    real, calls = links._link, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == 30:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(links, "_link", dies)
    with pytest.raises(KeyboardInterrupt):
        imagenet100.make(source, expected=TINY)
    assert len(linked.load("imagenet100", "val")) == 200
    monkeypatch.setattr(links, "_link", real)
    imagenet100.make(source, expected=TINY)
    assert sorted(p.name for p in home.iterdir()) == sorted(TINY)


def test_pictures_of_ones_own_are_not_removed(source, home):
    mine = home / "imagenet100" / "val" / "mine.JPEG"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"mine\.JPEG is a file, not a link.*move"):
        imagenet100.make(source, expected=TINY)
    assert mine.read_bytes() == b"mine"


# -- what is missing ---------------------------------------------------------------------------
@pytest.fixture
def damaged(source, tmp_path):
    """Without two classes of ImageNet-100 in training, and one validation picture of -100B."""
    root, one, other = tmp_path / "copy", *map(imagenet100.classes, ("imagenet100", "imagenet100b"))
    shutil.copytree(source, root)
    for wnid in list(one)[:2]:
        shutil.rmtree(root / "train" / wnid)
    next((root / "val" / list(other)[7]).iterdir()).unlink()
    return root


def test_what_is_missing_is_named_and_the_rest_is_made(damaged, home, capsys):
    with pytest.raises(ValueError) as e:
        imagenet100.make(damaged, expected=TINY)
    lines = str(e.value).splitlines()
    assert lines[0] == "imagenet100/train: 2 classes are absent: n01558993, n01692333"
    assert lines[1] == "imagenet100b/val: expected 2 pictures a class; n01773549 1"
    assert "--partial" in lines[2] and len(lines) == 3
    assert len(linked.load("imagenet100-shift", "val")) == 10
    for name in ("imagenet100", "imagenet100b"):
        with pytest.raises(FileNotFoundError):
            linked.load(name, "val")
    imagenet100.make(damaged, partial=True, expected=TINY)
    assert "NOTE  imagenet100/train: 2 classes" in capsys.readouterr().out
    found = linked.load("imagenet100", "train")
    assert len(found) == 98 and found.labels.min() == 2  # labels stay those of all 100
    assert "incomplete" in found.provenance and len(found.class_names) == 100


def test_a_wrong_sum_names_the_smallest_classes(source, home):
    wrong = {**TINY, "imagenet100": {"train": 126_689, "val": 200}}
    with pytest.raises(ValueError, match=r"train: 100 pictures, expected 126,689; .*n01558993 1"):
        imagenet100.make(source, expected=wrong)


def test_a_split_may_be_absent_if_one_says_so(source, home, tmp_path):
    root = tmp_path / "copy"
    root.mkdir()
    (root / "val").symlink_to(source / "val")
    with pytest.raises(ValueError, match="imagenet100/train: there is no such folder"):
        imagenet100.make(root, expected=TINY)
    imagenet100.make(root, partial=True, expected=TINY)
    assert len(linked.load("imagenet100", "val")) == 200
    with pytest.raises(ValueError, match="made without a split 'train': it has val"):
        linked.load("imagenet100", "train")


def test_what_is_no_imagenet_is_said(source, home, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is no folder"):
        imagenet100.make(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"has no pictures of ImageNet; looked for train"):
        imagenet100.make(tmp_path)
    flat(source, tmp_path)
    files = f"{imagenet.DEVKIT}.*{imagenet.KAGGLE}.*{imagenet.SYNSETS}"
    with pytest.raises(FileNotFoundError, match=f"lie flat.*{files}"):
        imagenet100.make(tmp_path)
    (tmp_path / f"{imagenet.DEVKIT}.tar.gz").write_bytes(b"cut short")
    with pytest.raises(ValueError, match=r"tar\.gz is damaged.*download it again"):
        imagenet100.make(tmp_path)
    (tmp_path / imagenet.SYNSETS).write_text("n01558993\n")
    with pytest.raises(ValueError, match="no class is known of picture 2"):
        imagenet100.make(tmp_path)
    (tmp_path / "ILSVRC2012_img_train.tar").write_bytes(b"")
    with pytest.raises(ValueError, match=r"ILSVRC2012_img_train\.tar is still packed.*torchvision"):
        imagenet100.make(tmp_path)


def test_pictures_are_decoded_when_one_asks(source, home, tmp_path):
    shutil.copytree(source, tmp_path / "copy")
    cut = next((tmp_path / "copy" / "val" / "n13040303").iterdir())
    cut.write_bytes(cut.read_bytes()[:-40])
    imagenet100.make(tmp_path / "copy", expected=TINY)  # its number is right
    with pytest.raises(ValueError, match=rf"imagenet100.*{cut.name} cannot be read"):
        imagenet100.make(tmp_path / "copy", check=True, expected=TINY)


def test_the_command_says_it_in_one_line(monkeypatch, capsys, home, tmp_path):
    monkeypatch.setattr(sys, "argv", ["data_prep", "imagenet100", "--imagenet", str(tmp_path)])
    with pytest.raises(SystemExit) as e:
        command.main()
    assert str(e.value.code).startswith(f"FAIL  {tmp_path} has no pictures of ImageNet")
    monkeypatch.setattr(sys, "argv", ["data_prep", "imagenet100"])
    with pytest.raises(SystemExit):
        command.main()
    assert "--imagenet" in capsys.readouterr().err


# -- ImageNet-100C -----------------------------------------------------------------------------
def published(root: Path, wnids, grouped: bool, names=imagenet100c.NAMES) -> None:
    for group, members in imagenet100c.GROUPS.items():
        for name in set(members) & set(names):
            for severity in imagenet100c.SEVERITIES:
                for wnid in wnids:
                    folder = root / (group if grouped else "") / name / str(severity) / wnid
                    folder.mkdir(parents=True)
                    for i in range(2):
                        (folder / f"ILSVRC2012_val_{i:08}.JPEG").touch()


@pytest.mark.parametrize("grouped", [True, False])
def test_published_folders_are_linked_and_what_is_missing_is_named(grouped, home, tmp_path):
    wnids = ["n01558993", "n01440764"]  # one of ours, one that is not
    names = ("frost", "saturate")
    published(tmp_path / "c", wnids, grouped, names)
    with pytest.raises(ValueError) as e:
        imagenet100c.link(tmp_path / "c", total=200)
    assert "gaussian_noise: absent" in str(e.value)
    assert "frost/3/val: 99 classes are absent: n01692333," in str(e.value)
    imagenet100c.link(tmp_path / "c", partial=True, total=200)
    files = linked.load("imagenet100c/saturate/5", "val")
    assert len(files) == 2 and files.labels.tolist() == [0, 0]
    assert "saturate/5/n01558993" in str(Path(files.paths[0]).resolve())
    with pytest.raises(FileNotFoundError):
        linked.load("imagenet100c/snow/5", "val")
    with pytest.raises(FileNotFoundError, match="has no folder of ImageNet-C: expected"):
        imagenet100c.link(tmp_path / "nowhere")


def test_imagenet100c_is_made_and_goes_on_where_it_was_killed(source, home, monkeypatch):
    corruptions = pytest.importorskip("cinv_lib.operators.corruptions")
    assert set(imagenet100c.NAMES) == set(corruptions.NAMES)
    with pytest.raises(FileNotFoundError, match="data_prep imagenet100 --imagenet"):
        imagenet100c.make(["contrast"], [1])
    # 4 classes are enough to see it
    names, label = imagenet100.labels("imagenet100")
    sources = {wnid: source / "val" / wnid for wnid in list(label)[:4]}
    links.publish("imagenet100", names, label, {"val": sources}, "tiny")
    real, calls = corruptions.corrupt, []

    def dies(*arguments, **options):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(corruptions, "corrupt", dies)
    with pytest.raises(KeyboardInterrupt):
        imagenet100c.make(["gaussian_noise"], [3])
    with pytest.raises(FileNotFoundError):
        linked.load("imagenet100c/gaussian_noise/3", "val")
    made = sorted(home.glob("imagenet100c/gaussian_noise/3.making/val/*/*"))
    assert len(made) == 3
    stamps = [p.stat().st_mtime_ns for p in made]
    imagenet100c.make(["gaussian_noise"], [3])
    assert len(calls) == 4 + 5  # eight pictures, of which three were there
    files = linked.load("imagenet100c/gaussian_noise/3", "val")
    assert [Path(p).stat().st_mtime_ns for p in files.paths[:3]] == stamps
    assert files.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    imagenet100c.make(["gaussian_noise"], [3])  # all there: nothing is done
    assert len(calls) == 9
    clean = linked.load("imagenet100", "val").decode()
    want = corruptions.corrupt_set(clean, "gaussian_noise", 3, seed=0, published=True)
    assert torch.equal(files.decode(), want)  # published: the same JPEG compression
    with pytest.raises(ValueError, match="unknown corruptions rain: expected gaussian_noise"):
        imagenet100c.make(["rain"])


@pytest.mark.parametrize(
    "rows", [b"\xff", b"ImageId\nILSVRC2012_val_1", b"ImageId,PredictionString\nx,n01558993 1",
             b"ImageId,PredictionString\nILSVRC2012_val_00000001,n0155"],
)  # fmt: skip
def test_a_damaged_table_of_kaggles_is_named(tmp_path, rows):
    (tmp_path / imagenet.KAGGLE).write_bytes(rows)
    with pytest.raises(ValueError, match=r"LOC_val_solution\.csv is damaged .* download it again"):
        imagenet.flat_labels(tmp_path, tmp_path)


def test_two_commands_at_once_make_a_set_one_after_the_other(source, home, monkeypatch):
    imagenet100.make(source, expected=TINY)
    real, at_once, most = links._link, [], []

    def slowly(*arguments):
        at_once.append(1)
        most.append(len(at_once))
        real(*arguments)
        time.sleep(0.001)
        at_once.pop()

    monkeypatch.setattr(links, "_link", slowly)
    with ThreadPoolExecutor() as pool:
        both = [pool.submit(imagenet100.make, source, expected=TINY) for _ in range(2)]
        for one in both:
            one.result()
    assert max(most) == 1
