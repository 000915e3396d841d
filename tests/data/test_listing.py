"""listing: what is a picture, of which class, without opening a file."""

import builtins
import os
import time

import pytest
from PIL import Image

from cinv_lib.data import listing
from cinv_lib.data.image_files import ImageFiles


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_subfolders_are_classes_at_any_depth_and_what_systems_leave_is_none(tmp_path):
    touch(
        tmp_path, "cat/b.jpg", "cat/2020/06/a.PNG", "dog/x.webp", "dog/y.tiff", "dog/raw.CR2",
        "cat/._b.jpg", ".git/c.png", "dog/.y.png", "__MACOSX/cat/b.jpg", "cat/Thumbs.db",
        "cat/@eaDir/b.jpg", "cat/notes.txt", "dog/clip.mpg", "readme.md",
    )  # fmt: skip
    names = listing.pictures_under(tmp_path)
    assert names == ["cat/2020/06/a.PNG", "cat/b.jpg", "dog/raw.CR2", "dog/x.webp", "dog/y.tiff"]
    files = ImageFiles.from_folder(tmp_path)
    assert files.class_names == ("cat", "dog") and files.labels.tolist() == [0, 0, 1, 1, 1]
    assert files.names == names and files.name == tmp_path.name
    assert files.fingerprint in files.provenance and "5 pictures" in files.provenance
    plain = ImageFiles.from_folder(tmp_path, labelled=False)
    assert plain.class_names == () and plain.labels.tolist() == [0] * 5


def test_pictures_alone_have_no_labels_and_a_mixture_is_refused(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg")
    assert ImageFiles.from_folder(tmp_path).class_names == ()
    with pytest.raises(
        ValueError, match=r"2 pictures that are in no subfolder, as a.jpg.*labelled"
    ):
        ImageFiles.from_folder(tmp_path, labelled=True)
    touch(tmp_path, "cat/c.jpg")
    with pytest.raises(
        ValueError, match=r"1 in subfolders, as 'cat'; expected each in the subfold"
    ):
        ImageFiles.from_folder(tmp_path)
    assert len(ImageFiles.from_folder(tmp_path, labelled=False)) == 3


def test_a_folder_without_pictures_says_what_is_there(tmp_path):
    with pytest.raises(ValueError, match="holds no picture: found no file at all; expected files"):
        ImageFiles.from_folder(tmp_path)
    touch(tmp_path, "IM0001", "IM0002")
    with pytest.raises(ValueError, match="found 2 other files, as IM0001"):
        ImageFiles.from_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere is absent; expected a folder"):
        ImageFiles.from_folder(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match="is a file; expected a folder"):
        ImageFiles.from_folder(tmp_path / "IM0001")


def test_links_are_followed_and_a_ring_of_them_ends(tmp_path):
    touch(tmp_path, "elsewhere/a.jpg")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "mine")
    assert listing.pictures_under(tmp_path / "mine") == ["cat/a.jpg"]


def test_a_format_that_a_reader_registers_is_known(tmp_path, monkeypatch):
    touch(tmp_path, "a.xyz")
    with pytest.raises(ValueError, match="no picture"):
        listing.pictures_under(tmp_path)
    monkeypatch.setitem(Image.EXTENSION, ".xyz", "PNG")
    assert listing.pictures_under(tmp_path) == ["a.xyz"]


def test_many_files_are_listed_and_none_is_opened(tmp_path, monkeypatch):
    for label in range(4):
        (tmp_path / f"{label}").mkdir()
        for i in range(2500):
            os.close(os.open(tmp_path / f"{label}" / f"{i}.jpg", os.O_CREAT | os.O_WRONLY))
    listing.known_endings()  # imports Pillow's formats, once

    def refused(*_, **__):
        raise AssertionError("a file is opened")

    monkeypatch.setattr(builtins, "open", refused)
    monkeypatch.setattr(Image, "open", refused)
    start = time.process_time()  # of this process alone: others use this machine too
    files = ImageFiles.from_folder(tmp_path)
    assert len(files) == 10_000 and time.process_time() - start < 0.6


def test_the_fingerprint_is_of_names_sizes_times_and_labels(tmp_path):
    def seen():
        return ImageFiles.from_folder(folder).fingerprint

    folder = touch(tmp_path / "first", "cat/a.jpg", "dog/b.jpg")
    first = seen()
    assert first == seen() != ImageFiles.from_folder(folder, labelled=False).fingerprint
    facts = os.stat(folder / "cat/a.jpg")
    os.utime(folder / "cat/a.jpg", (1, 1))
    assert seen() != first
    os.utime(folder / "cat/a.jpg", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert seen() == first
    (folder / "dog/b.jpg").write_bytes(b"longer")
    os.utime(folder / "dog/b.jpg", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert seen() != first
    moved = folder.rename(tmp_path / "second")
    files = ImageFiles.from_folder(moved)
    folder = moved
    assert files.fingerprint == seen()
    (folder / "dog/b.jpg").unlink()
    assert files.fingerprint != ImageFiles.from_folder(tmp_path / "second").fingerprint


# -- CSV ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", [
    "path,label\nin/a.jpg,dog\nb.jpg,cat\n", "in/a.jpg;dog\r\nb.jpg;cat\r\n",
    "\ufeffin/a.jpg\tdog\n\nb.jpg\tcat", "Filename,Class\n in/a.jpg , dog\nb.jpg,cat\n",
])  # fmt: skip
def test_a_csv_has_paths_and_labels(tmp_path, text):
    touch(tmp_path, "in/a.jpg", "b.jpg")
    (tmp_path / "list.csv").write_text(text, encoding="utf-8")
    files = ImageFiles.from_csv(tmp_path / "list.csv")
    assert files.paths == (str(tmp_path / "in/a.jpg"), str(tmp_path / "b.jpg"))
    assert files.class_names == ("cat", "dog") and files.labels.tolist() == [1, 0]


def test_a_csv_without_labels_and_with_numbers(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg", "c,d.jpg")
    (tmp_path / "list.csv").write_text('a.jpg\n"c,d.jpg"\n')
    assert ImageFiles.from_csv(tmp_path / "list.csv").class_names == ()
    (tmp_path / "list.csv").write_text("a.jpg,10\nb.jpg,9\n")
    files = ImageFiles.from_csv(tmp_path / "list.csv")
    assert files.class_names == ("9", "10") and files.labels.tolist() == [1, 0]


@pytest.mark.parametrize(("text", "words"), [
    ("", "has no row"), ("path,label\n", "has no row"),
    ("a.jpg,cat\nb.jpg\n", "row 'b.jpg'; expected a path and a label"),
    ("a.jpg,cat,7\n", "row 'a.jpg,cat,7'"),
    (",cat\n", "row ',cat'"), ("caf\udce9.jpg,cat\n", "not in UTF-8"),
])  # fmt: skip
def test_a_csv_that_says_something_else_is_refused(tmp_path, text, words):
    touch(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "list.csv").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match=words):
        ImageFiles.from_csv(tmp_path / "list.csv")


def test_a_csv_names_pictures_that_are_absent(tmp_path):
    touch(tmp_path, "a.jpg")
    (tmp_path / "list.csv").write_text("a.jpg,cat\nb.jpg,cat\n")
    with pytest.raises(FileNotFoundError, match=r"1 of 2 pictures are absent, as .*b\.jpg; expect"):
        ImageFiles.from_csv(tmp_path / "list.csv")
    with pytest.raises(FileNotFoundError, match=r"no.csv is absent; expected a CSV"):
        ImageFiles.from_csv(tmp_path / "no.csv")
