"""Tar shards: whose turn it is, what is read of them, and what is said where something is wrong."""

import functools
import http.server
import io
import shutil
import tarfile
import threading

import processes
import pytest
import torch
from PIL import Image

from cinv_lib import data
from cinv_lib.data import decoding, epoch, shards, tars
from cinv_lib.data.turns import STRIDE, Turns

LENGTHS = (7, 3, 10, 4, 6)


@pytest.fixture
def made(tmp_path):
    return processes.picture_shards(tmp_path / "shards", LENGTHS)


@pytest.fixture
def stream(made):
    return data.Shards(made, LENGTHS, window=5)


def turns(lengths=LENGTHS, window=5, batch_size=4, seed=0, epochs=3, rank=0, ranks=1):
    return Turns(tuple(lengths), window, batch_size, seed, epochs, rank, ranks)


def numbers(lengths=LENGTHS):
    return [s * STRIDE + p for s, length in enumerate(lengths) for p in range(length)]


# -- whose turn it is ----------------------------------------------------------------------------
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_all_processes_take_whole_batches_as_often_and_no_picture_twice(ranks):
    all_of_them = [turns(batch_size=6, epochs=4, rank=r, ranks=ranks) for r in range(ranks)]
    (steps,) = {one.steps for one in all_of_them}
    most = {0}
    for e in range(4):
        order = [one.order(e) for one in all_of_them]
        assert sorted(n for part in order for n in part.tolist()) == numbers()
        taken = [one.of(e) for one in all_of_them]
        assert {len(batches) for batches in taken} == {steps}
        assert {len(batch) for batches in taken for batch in batches} == {6 // ranks}
        every = [n for batches in taken for batch in batches for n in batch.tolist()]
        assert len(set(every)) == len(every) == all_of_them[0].taken == 30 - all_of_them[0].left
        most.add(min(len(part) for part in order) // (6 // ranks))
    # as many as the process with the fewest pictures has in the epoch where it has the fewest
    assert steps == min(most - {0}) > 0


def test_a_process_has_the_shards_of_its_turn_in_the_epochs_permutation():
    for e in range(3):
        permutation = torch.randperm(5, generator=data.generator_of(0, e)).tolist()
        for rank in (0, 1):
            found = {n // STRIDE for n in turns(rank=rank, ranks=2, batch_size=2).order(e).tolist()}
            assert found == set(permutation[rank::2])


def test_every_epoch_and_seed_has_an_order_of_its_own_and_windows_mix():
    first = turns(window=4096).order(0).tolist()
    assert first == turns(window=4096).order(0).tolist()
    assert first != turns(window=4096).order(1).tolist() != turns(seed=1, window=4096).order(1)
    # side by side, a picture of each in turn: the first four shards' first pictures come first
    plain = turns(window=1).order(0).tolist()
    assert [n % STRIDE for n in plain[:4]] == [0, 0, 0, 0]
    places = {}
    for n in plain:
        places.setdefault(n // STRIDE, []).append(n % STRIDE)
    assert all(found == sorted(found) for found in places.values())
    # a picture is moved within its window and not out of it
    mixed = turns(window=5).order(0).tolist()
    assert mixed != plain
    for k in range(0, 30, 5):
        assert sorted(mixed[k : k + 5]) == sorted(plain[k : k + 5])


def test_what_is_left_out_is_said():
    one = turns(batch_size=8)
    assert one.steps == 3 and one.taken == 24 and one.left == 6
    assert "takes 24 of 30 pictures, in 3 steps of 8. The other 6 are left out" in one.said("pics")
    assert turns(batch_size=5).left == 0


def test_too_few_shards_or_pictures_for_the_processes():
    with pytest.raises(
        ValueError, match="5 shards and batches of 6 for 6 processes; expected a sh"
    ):
        turns(batch_size=6, ranks=6)
    with pytest.raises(ValueError, match="batches of 1 for 2 processes"):
        turns(batch_size=1, ranks=2)
    with pytest.raises(ValueError, match="has 3 pictures in some epoch; expected 8 or more"):
        turns((3, 30), batch_size=16, ranks=2)


# -- what is said of them ------------------------------------------------------------------------
def test_a_pattern_and_one_number_for_all(tmp_path):
    made = processes.picture_shards(tmp_path / "equal", (4, 4, 4))
    stream = data.Shards(str(tmp_path / "equal" / "pics-{0000..0002}.tar"), pictures=12)
    assert stream.shards == tuple(made) and stream.lengths == (4, 4, 4) and len(stream) == 12
    assert stream.name == "pics-0000.tar and 2 more"
    assert data.Shards(made[0], 4).name == "pics-0000.tar"
    assert data.Shards("file://" + made[0], 4).shards == (made[0],)
    with pytest.raises(
        ValueError, match=r"13 pictures in 3 shards; expected as many in each.*counted"
    ):
        data.Shards(made, 13)
    with pytest.raises(ValueError, match="2 numbers of pictures for 3 shards"):
        data.Shards(made, (4, 8))
    with pytest.raises(ValueError, match=r"pics-0001.tar comes twice"):
        data.Shards([*made, made[1]], 16)
    with pytest.raises(ValueError, match="window 0; expected 1 picture or more"):
        data.Shards(made, 12, window=0)


def test_counted_finds_the_lengths(made):
    assert data.Shards.counted(made).lengths == LENGTHS


def test_a_fingerprint_is_of_names_and_lengths_wherever_they_lie(made, tmp_path):
    one = data.Shards(made, LENGTHS)
    shutil.copytree(tmp_path / "shards", tmp_path / "moved")
    moved = [m.replace("shards", "moved") for m in made]
    assert data.Shards(moved, LENGTHS).fingerprint == one.fingerprint
    assert data.Shards(moved, (6, *LENGTHS[1:])).fingerprint != one.fingerprint
    assert data.Shards(made, LENGTHS, window=9).fingerprint != one.fingerprint
    signed = [f"https://host/{k}.tar?signature={k}" for k in range(2)]
    later = [url.replace("signature=", "signature=9") for url in signed]
    assert data.Shards(signed, 4).fingerprint == data.Shards(later, 4).fingerprint


@pytest.mark.parametrize("url", ["pipe:echo hi > {}/ran", "s3://bucket/pics.tar"])
def test_what_runs_a_shell_or_cannot_be_opened_is_refused(url, tmp_path):
    with pytest.raises(ValueError, match=r"expected a path, or a URL that begins with .*https"):
        data.Shards([url.format(tmp_path)], 1)
    assert not (tmp_path / "ran").exists()


def test_webdataset_itself_refuses_pipes_here(tmp_path):
    webdataset = tars._webdataset()
    with pytest.raises(ValueError):
        webdataset.gopen(f"pipe:touch {tmp_path}/ran")
    assert not (tmp_path / "ran").exists()


def test_there_are_no_labels(stream):
    with pytest.raises(
        ValueError, match="has no labels; expected ImageFiles or an ImageSet to fit"
    ):
        stream.expect_classes("fit a probe")


# -- what is read --------------------------------------------------------------------------------
def picture(stream, number):
    shard, place = divmod(number, STRIDE)
    with tarfile.open(stream.shards[shard]) as tar:
        return decoding.from_bytes("it", tar.extractfile(f"{place:04}.png").read())


@pytest.mark.parametrize("workers", [0, 2])
def test_views_are_functions_of_seed_epoch_and_number(stream, workers):
    batches = turns().of(1)[2:]
    for batch, x in zip(
        batches, stream.views(batches, 7, 1, 16, (0.2, 0.6), True, workers), strict=True
    ):
        for number, one in zip(batch.tolist(), x, strict=True):
            generator = data.generator_of(7, 1, *divmod(number, STRIDE))
            own = stream.preprocess.at(16)
            (want,) = epoch.cut([picture(stream, number)], generator, 16, (0.2, 0.6), own)
            mirrored = torch.rand((), generator=generator) < 0.5
            want = decoding.tensor(want)
            assert torch.equal(one, want.flip(-1) if mirrored else want)


def test_without_crops_pictures_are_seen_whole(stream):
    batches = [torch.tensor([2 * STRIDE + 9, 3])]
    (x,) = stream.views(batches, 0, 0, 16, (1.0, 1.0))
    want = [decoding.tensor(stream.preprocess.at(16)(picture(stream, int(n)))) for n in batches[0]]
    assert torch.equal(x, torch.stack(want))


def test_a_shard_is_opened_once_and_read_no_further_than_is_asked(stream, monkeypatch):
    asked, real = [], tars.pictures
    monkeypatch.setattr(tars, "pictures", lambda url, p: asked.append((url, p)) or real(url, p))
    batches = turns().of(0)
    assert sum(len(x) for x in stream.views(batches, 0, 0, 16)) == 28
    assert len(asked) == len({url for url, _ in asked}) == 5
    assert sorted(p for _, places in asked for p in places) == sorted(
        int(n) % STRIDE for batch in batches for n in batch
    )
    names = [name for name, _ in real(stream.shards[0], [1, 4])]
    assert names == ["0001.png", "0004.png"]


def test_what_was_fetched_is_let_go(stream):
    reading = shards._Read(stream.shards, turns(epochs=1).of(0))
    loop = iter(reading)
    for batch in reading.batches:
        assert [one.number for one in next(loop)] == batch.tolist()
        assert len(loop.gi_frame.f_locals["held"]) <= 2 * stream.window
    assert not loop.gi_frame.f_locals["held"]


def test_compressed_shards(tmp_path):
    made = processes.picture_shards(tmp_path / "packed", (3, 2), "tar.gz")
    stream = data.Shards.counted(made)
    assert stream.lengths == (3, 2)
    (x,) = stream.views([torch.tensor(numbers((3, 2)))], 0, 0, 16)
    assert x.shape == (5, 3, 16, 16)


# -- what is wrong -------------------------------------------------------------------------------
def read(stream):
    return list(stream.views(turns(stream.lengths, epochs=1, batch_size=1).of(0), 0, 0, 16))


def test_a_missing_shard(made, tmp_path):
    stream = data.Shards(made, LENGTHS)
    (tmp_path / "shards" / "pics-0003.tar").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"shard \S+pics-0003.tar is absent; expected a tar"
    ):
        data.Shards(made, LENGTHS)
    with pytest.raises(FileNotFoundError, match=r"shard \S+pics-0003.tar is absent: it was moved"):
        read(stream)


def test_fewer_pictures_than_said(made):
    stream = data.Shards(made, (7, 3, 10, 5, 6))
    with pytest.raises(
        ValueError, match=r"pics-0003.tar has 4 pictures; expected 5 .*counted find"
    ):
        read(stream)


@pytest.mark.parametrize(("kept", "says"), [(0.5, "pics-0002.tar"), (0.0, "no whole tar archive")])
def test_a_shard_that_was_cut_short(stream, kept, says):
    with open(stream.shards[2], "r+b") as file:
        file.truncate(int(kept * file.seek(0, io.SEEK_END)))
    with pytest.raises(ValueError, match=says):
        read(stream)


def test_no_archive_at_all(stream):
    with open(stream.shards[2], "wb") as file:
        file.write(b"<html>Not found</html>" * 100)
    with pytest.raises(ValueError, match=r"pics-0002.tar is no whole tar archive .*fetch or write"):
        read(stream)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_picture_is_named_with_its_shard(stream, workers):
    with tarfile.open(stream.shards[1]) as tar:
        start = tar.getmember("0002.png").offset_data
    with open(stream.shards[1], "r+b") as file:
        file.seek(start)
        file.write(b"nothing that Pillow knows")
    batches = turns(epochs=1).of(0)
    says = r"shard \S+pics-0001.tar, picture 2: 0002.png is not a picture .*Put another picture"
    with pytest.raises(ValueError, match=says):
        list(stream.views(batches, 0, 0, 16, workers=workers))


# -- over the network ----------------------------------------------------------------------------
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def host(made, tmp_path, monkeypatch):
    """The shards on a server of this machine."""
    if not shutil.which("curl"):
        pytest.skip("webdataset fetches by curl")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    handler = functools.partial(Quiet, directory=tmp_path / "shards")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_urls_are_read_as_files_are(host, stream):
    there = data.Shards(host + "/pics-{0000..0004}.tar", LENGTHS, window=5)
    assert there.fingerprint == stream.fingerprint
    assert data.Shards.counted(there.shards).lengths == LENGTHS
    batches = turns().of(0)
    both = [list(one.views(batches, 0, 0, 16)) for one in (stream, there)]
    assert all(torch.equal(a, b) for a, b in zip(*both, strict=True))


def test_a_shard_that_the_server_has_not(host):
    there = data.Shards(host + "/pics-{0003..0005}.tar", (4, 6, 4))
    with pytest.raises(OSError, match=r"shard http\S+/pics-0005.tar cannot be read \(.*exit 22"):
        read(there)


def test_no_more_of_a_url_is_read_than_is_asked(host, tmp_path):
    """curl is told to stop in the middle, and that is no error."""
    big = tmp_path / "shards" / "big.tar"
    noise, file = torch.randint(0, 256, (400, 400, 3), dtype=torch.uint8).numpy(), io.BytesIO()
    Image.fromarray(noise).save(file, "png")
    with tarfile.open(big, "w") as tar:
        for k in range(30):
            entry = tarfile.TarInfo(f"{k}.png")
            entry.size = len(file.getvalue())
            tar.addfile(entry, io.BytesIO(file.getvalue()))
    (found,) = tars.pictures(host + "/big.tar", [1])
    assert found == ("1.png", file.getvalue())


def test_without_curl_it_is_named(host, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError, match=r"pics-000\d.tar: curl is needed to fetch it"):
        read(data.Shards(host + "/pics-{0000..0001}.tar", 6))
