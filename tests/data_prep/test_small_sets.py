"""data_prep cifar and stl10: downloads that resume and are checked, archives that are safe."""

import hashlib
import io
import os
import pickle
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import datasets

from cinv_lib import data as image_sets
from cinv_lib.data import prepared
from data_prep import download, small_sets

CONTENT = np.random.default_rng(0).bytes(3_000_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Server(BaseHTTPRequestHandler):
    """Sends CONTENT: `stops` says after how many bytes each answer breaks off."""

    ranges, stops, asked, status = True, [], [], 200

    def do_GET(self):
        start = self.headers.get("Range")
        self.asked.append(start)
        first = int(start.split("=")[1].rstrip("-")) if start and self.ranges else 0
        if self.status != 200:
            return self.send_error(self.status)
        if first >= len(CONTENT):
            return self.send_error(416)
        self.send_response(206 if start and self.ranges else 200)
        self.send_header("Content-Length", str(len(CONTENT) - first))
        self.end_headers()
        stop = self.stops.pop(0) if self.stops else len(CONTENT)
        self.wfile.write(CONTENT[first:][:stop])

    def log_message(self, *_):
        pass


@pytest.fixture
def url(monkeypatch):
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr(Server, "asked", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/set.tar.gz"
    server.shutdown()
    server.server_close()


# -- downloads ---------------------------------------------------------------------------------
def test_a_download_that_breaks_off_goes_on_where_it_was(url, tmp_path, monkeypatch):
    monkeypatch.setattr(Server, "stops", [1_200_000, 500_000])
    path = download.fetch(url, MD5, tmp_path / "new" / "set.tar.gz", pause=0)
    assert path.read_bytes() == CONTENT
    assert Server.asked == [None, "bytes=1200000-", "bytes=1700000-"]
    assert not path.with_name("set.tar.gz.part").exists()
    download.fetch(url, MD5, path)
    assert len(Server.asked) == 3  # it is there: nothing is asked


def test_a_later_call_goes_on_too_and_a_server_without_ranges_begins_anew(
    url, tmp_path, monkeypatch
):
    path = tmp_path / "set.tar.gz"
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    monkeypatch.setattr(Server, "stops", [2_000_000])
    with pytest.raises(OSError, match=r"2,000,000 bytes are kept.*again to go on.*curl -LO http"):
        download.fetch(url, MD5, path)
    assert path.with_name("set.tar.gz.part").stat().st_size == 2_000_000
    monkeypatch.setattr(Server, "ranges", False)
    assert download.fetch(url, MD5, path).read_bytes() == CONTENT
    assert Server.asked == [None, "bytes=2000000-"]


def test_a_whole_part_is_only_checked(url, tmp_path):
    (tmp_path / "set.tar.gz.part").write_bytes(CONTENT)
    assert download.fetch(url, MD5, tmp_path / "set.tar.gz").read_bytes() == CONTENT


def test_what_has_another_digest_is_refused(url, tmp_path):
    path = tmp_path / "set.tar.gz"
    with pytest.raises(ValueError, match=rf"has MD5 {MD5}, expected {'0' * 32}\. Run the command"):
        download.fetch(url, "0" * 32, path)
    assert not path.exists() and not path.with_name("set.tar.gz.part").exists()
    path.write_bytes(b"somebody's own")
    with pytest.raises(ValueError, match=r"\(14 bytes\) has MD5 .*Delete it"):
        download.fetch(url, MD5, path)
    assert path.read_bytes() == b"somebody's own"  # not ours to delete


def test_a_file_that_is_not_there_is_not_asked_for_again(url, tmp_path, monkeypatch):
    monkeypatch.setattr(Server, "status", 404)
    with pytest.raises(OSError, match=r"could not be fetched \(Not Found\)"):
        download.fetch(url, MD5, tmp_path / "set.tar.gz")
    assert len(Server.asked) == 1
    monkeypatch.setattr(Server, "status", 503)
    with pytest.raises(OSError, match="Service Unavailable"):
        download.fetch(url, MD5, tmp_path / "set.tar.gz", pause=0)
    assert len(Server.asked) == 1 + download.ATTEMPTS


def test_without_network_it_says_where_to_put_the_file(tmp_path):
    path = tmp_path / "set.tar.gz"
    with pytest.raises(OSError, match=rf"could not be fetched .*copy the file to {path}"):
        download.fetch("http://127.0.0.1:9/set.tar.gz", MD5, path, pause=0)


# -- archives ----------------------------------------------------------------------------------
def packed(path: Path, files: dict[str, bytes], link: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        if link:
            member = tarfile.TarInfo("link")
            member.type, member.linkname = tarfile.SYMTYPE, link
            archive.addfile(member)
    return path


@pytest.mark.parametrize(("name", "link"), [("../evil", None), ("fine", "/etc/passwd")])
def test_an_archive_that_reaches_outside_is_refused(name, link, tmp_path):
    archive = packed(tmp_path / "set.tar.gz", {name: b"evil"}, link)
    with pytest.raises(ValueError, match="is not safe to unpack"):
        download.unpack(archive, tmp_path / "in" / "folder")
    assert not (tmp_path / "in" / "evil").exists() and not (tmp_path / "in" / "folder").exists()


def test_a_damaged_archive_is_said_and_leaves_nothing(tmp_path):
    archive = packed(tmp_path / "set.tar.gz", {"a": CONTENT[:100_000], "b": b"b"})
    archive.write_bytes(archive.read_bytes()[:50_000])
    with pytest.raises(ValueError, match=r"set\.tar\.gz is damaged"):
        download.unpack(archive, tmp_path / "folder")
    assert [p.name for p in tmp_path.iterdir()] == ["set.tar.gz"]


# -- the sets ----------------------------------------------------------------------------------
def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def cifar_files(rows: int, coarse: bool) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """Files of CIFAR-10 or -100 in their own layout, with few pictures, and what they hold."""
    random = np.random.default_rng(rows)
    names = ["train", "test"] if coarse else [f"data_batch_{i}" for i in range(1, 6)]
    names += [] if coarse else ["test_batch"]
    key, meta = ("fine_labels", "meta") if coarse else ("labels", "batches.meta")
    of = [f"class {k}" for k in range(100 if coarse else 10)]
    files, data = {}, {}
    for name in names:
        pictures = random.integers(0, 256, (rows, 3072), dtype=np.uint8)
        labels = random.integers(0, len(of), rows).tolist()
        files[name] = pickle.dumps({"data": pictures, key: labels})
        data[name] = (pictures, labels)
    files[meta] = pickle.dumps({"fine_label_names" if coarse else "label_names": of})
    return files, data


@pytest.fixture
def cifar(home, monkeypatch):
    """Tiny archives, where a user would copy them who has no network; what they hold."""
    held = {}
    for name, kind, coarse in (("cifar10", "CIFAR10", False), ("cifar100", "CIFAR100", True)):
        real = getattr(datasets, kind)
        files, held[name] = cifar_files(4, coarse)
        archive = packed(
            home / "downloads" / real.filename,
            {f"{real.base_folder}/{file}": data for file, data in files.items()},
        )
        sums = [[file, md5(data)] for file, data in files.items() if "meta" not in file]
        changed = {
            "url": "http://127.0.0.1:9/" + real.filename,
            "tgz_md5": md5(archive.read_bytes()),
            "train_list": [row for row in sums if "test" not in row[0]],
            "test_list": [row for row in sums if "test" in row[0]],
            "meta": {**real.meta, "md5": md5(files["meta" if coarse else "batches.meta"])},
        }
        monkeypatch.setattr(datasets, kind, type(kind, (real,), changed))
    return held


def test_cifar_becomes_tensors_that_images_load_reads(cifar, home, capsys, monkeypatch):
    with pytest.raises(
        FileNotFoundError, match=r"run `python -m data_prep cifar` to fetch cifar10"
    ):
        image_sets.load("cifar10", "train")
    small_sets.cifar()
    assert "OK  cifar100/val: 4 pictures of 32 px, 100 classes" in capsys.readouterr().out
    for name, held in cifar.items():
        for split, size in (("train", 4 if name == "cifar100" else 20), ("val", 4)):
            parts = [v for k, v in held.items() if ("test" in k) == (split == "val")]
            found = image_sets.load(name, split)
            assert found.images.shape == (size, 3, 32, 32)
            want = np.concatenate([pictures for pictures, _ in parts]).reshape(-1, 3, 32, 32)
            assert np.array_equal(found.images.numpy(), want)  # the files have planes of colour
            assert found.labels.tolist() == [k for _, labels in parts for k in labels]
            assert found.class_names[3] == "class 3" and "Krizhevsky" in found.provenance
    assert sorted(p.name for p in home.iterdir()) == ["cifar10", "cifar100", "downloads"]
    monkeypatch.setattr(download, "unpack", lambda *_: pytest.fail("done a second time"))
    small_sets.cifar()


def test_a_pickle_that_was_changed_is_not_opened(cifar, home, monkeypatch):
    """torchvision's digests stand before its unpickling."""
    unpacked = download.unpack

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(home / "evil"),)

    def tampered(archive, folder):
        unpacked(archive, folder)
        next(folder.rglob("data_batch_3")).write_bytes(pickle.dumps(Evil()))

    monkeypatch.setattr(download, "unpack", tampered)
    with pytest.raises(RuntimeError, match="corrupted"):
        small_sets.cifar()
    assert not (home / "evil").exists()


def test_stl10_has_a_labelled_and_an_unlabelled_set(home, monkeypatch, capsys):
    random, files = np.random.default_rng(1), {}
    for part, n in (("train", 5), ("test", 8), ("unlabeled", 3)):
        files[f"{part}_X.bin"] = random.integers(0, 256, n * 3 * 96 * 96, dtype=np.uint8).tobytes()
        files[f"{part}_y.bin"] = (1 + np.arange(n) % 10).astype(np.uint8).tobytes()
    del files["unlabeled_y.bin"]
    files["class_names.txt"] = "".join(f"thing {k}\n" for k in range(10)).encode()
    real = datasets.STL10
    contents = {f"{real.base_folder}/{name}": data for name, data in files.items()}
    archive = packed(home / "downloads" / real.filename, contents)
    sums = {name: [name, md5(data)] for name, data in files.items()}
    changed = {
        "tgz_md5": md5(archive.read_bytes()),
        "train_list": [sums[name] for name in ("train_X.bin", "train_y.bin", "unlabeled_X.bin")],
        "test_list": [sums[name] for name in ("test_X.bin", "test_y.bin")],
    }
    monkeypatch.setattr(datasets, "STL10", type("STL10", (real,), changed))
    small_sets.stl10()
    for name, split, part, n in (
        ("stl10", "train", "train", 5),
        ("stl10", "val", "test", 8),
        ("stl10-unlabelled", "train", "unlabeled", 3),
    ):
        found = image_sets.load(name, split)
        assert found.images.shape == (n, 3, 96, 96)
        # STL-10 is stored in columns
        raw = np.frombuffer(files[f"{part}_X.bin"], np.uint8).reshape(n, 3, 96, 96)
        assert np.array_equal(found.images.numpy(), raw.transpose(0, 1, 3, 2))
        labelled = part != "unlabeled"
        assert found.labels.tolist() == [i % 10 if labelled else 0 for i in range(n)]
    assert image_sets.load("stl10", "val").class_names[2] == "thing 2"
    assert "OK  stl10-unlabelled/train: 3 pictures of 96 px" in capsys.readouterr().out
    with pytest.raises(ValueError, match="stl10-unlabelled has no split 'val'; it has train"):
        image_sets.load("stl10-unlabelled", "val")


# -- the files that are kept -------------------------------------------------------------------
PARTS = (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), torch.tensor([1, 0]), ("a", "b"), "here")


def test_a_stored_set_comes_back_and_a_damaged_one_says_so(home):
    path = prepared.write("cifar10", "val", *PARTS)
    kept = prepared.read("cifar10", "val")
    pictures, labels, names, provenance = (
        kept.images, kept.labels, kept.class_names, kept.provenance
    )  # fmt: skip
    assert torch.equal(pictures, PARTS[0]) and torch.equal(labels, PARTS[1])
    assert (names, provenance) == PARTS[2:]
    assert image_sets.load("cifar10", "val", n=1).labels.tolist() == [1, 0]
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"val\.safetensors is damaged.*data_prep cifar` again"):
        image_sets.load("cifar10", "val")


def test_a_write_that_fails_leaves_the_old_file(home, monkeypatch):
    path = prepared.write("cifar10", "val", *PARTS)
    before = path.read_bytes()

    def full(tensors, file, metadata):
        Path(file).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(prepared, "save_file", full)
    with pytest.raises(OSError, match="No space"):
        prepared.write("cifar10", "val", *PARTS)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["val.safetensors"]
