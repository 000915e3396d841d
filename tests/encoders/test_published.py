"""hub: published weights from the cache or the network, and the sentence when there is neither."""

import hashlib
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from cinv_lib import encoders
from cinv_lib.encoders import encoder, published
from cinv_lib.machine import folders

REPO, FILE = "timm/resnet101_clip.openai", "open_clip_model.safetensors"


@pytest.fixture
def online(monkeypatch):
    """As if HF_HUB_OFFLINE were not set, with a hub at an address of our choice."""

    def at(address: str) -> None:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)

    return at


@pytest.fixture
def silent():
    """An address that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def closed():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def check_advice(message: str, cache) -> None:
    assert message.startswith("RN101-quickgelu/openai: the weights are not on this machine")
    assert str(cache) in message
    assert f"`hf download {REPO} {FILE} --local-dir RN101-quickgelu-openai`" in message
    assert f"copy that folder into {folders.home() / 'weights'}," in message
    assert "\n" not in message


@pytest.mark.parametrize("hub_is", ["closed", "silent"])
def test_out_of_reach_it_says_so_within_three_seconds(
    hub_is, request, online, tmp_path, monkeypatch
):
    """A hub that takes the call, and is silent then, is given longer: here half a second."""
    monkeypatch.setattr(published, "ANSWER_SECONDS", 0.5)
    address = request.getfixturevalue(hub_is)
    online(address)
    load = encoders.load  # imports open_clip, which takes seconds the first time
    start = time.perf_counter()
    with pytest.raises(FileNotFoundError) as e:
        load("RN101-quickgelu/openai", cache_dir=str(tmp_path))
    assert time.perf_counter() - start < 3
    check_advice(str(e.value), tmp_path)
    assert address in str(e.value)


def test_a_name_that_takes_ages_to_look_up_does_not_hold_it_up(monkeypatch):
    monkeypatch.setattr(published.urllib.request, "urlopen", lambda *a, **k: sleep_then_fail())
    start = time.perf_counter()
    assert "does not answer within 0.1 s" in published.unreachable(
        "http://slow.example", seconds=0.1
    )
    assert time.perf_counter() - start < 3


def test_offline_by_wish_it_does_not_ask(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(published, "unreachable", lambda url: pytest.fail("asked the network"))
    with pytest.raises(FileNotFoundError, match="HF_HUB_OFFLINE is set") as e:
        encoders.load("RN101-quickgelu/openai", cache_dir=str(tmp_path))
    check_advice(str(e.value), tmp_path)


@pytest.mark.parametrize("file", [FILE, "open_clip_pytorch_model.bin"])
def test_a_cached_file_is_found_without_asking(file, monkeypatch, tmp_path):
    monkeypatch.setattr(published, "unreachable", lambda url: pytest.fail("asked the network"))
    folder = tmp_path / f"models--{REPO.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("a" * 40)
    (snapshot / file).write_bytes(b"cut short")
    record = {"hf_hub": f"{REPO}/"}
    assert published.open_clip_weights("x", record, str(tmp_path)) == snapshot / file
    with pytest.raises(ValueError, match=re.escape(file) + r" \(9 bytes\) is truncated"):
        encoders.load("RN101-quickgelu/openai", cache_dir=str(tmp_path))


def sleep_then_fail():
    time.sleep(4)
    raise OSError("too late to matter")


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as one download needs."""

    content = b"the weights"
    asked: list = []  # noqa: RUF012

    def do_HEAD(self):
        self.asked.append(self.path)
        known = self.path == f"/{REPO}/resolve/main/{FILE}"
        self.send_response(200 if known else 404)
        self.send_header("X-Repo-Commit", "b" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        return known

    def do_GET(self):
        if self.do_HEAD():
            self.wfile.write(self.content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()


def test_within_reach_it_downloads_once(server, online, tmp_path):
    online(server)
    first = published.from_hub(REPO, (FILE,), "x/y", str(tmp_path))
    assert first.read_bytes() == Hub.content
    count = len(Hub.asked)
    assert (
        published.from_hub(REPO, (FILE,), "x/y", str(tmp_path)) == first and len(Hub.asked) == count
    )


def test_where_the_hub_lacks_the_first_name_the_next_is_taken(server, online, tmp_path):
    online(server)
    found = published.from_hub(REPO, ("other.safetensors", FILE), "x/y", str(tmp_path))
    assert found.read_bytes() == Hub.content


def test_a_place_on_the_hub_is_fetched_as_a_whole_folder(online, closed, tmp_path, monkeypatch):
    online(closed)
    with pytest.raises(FileNotFoundError) as e:
        encoders.load("hf-hub:me/rows", cache_dir=str(tmp_path))
    assert "`hf download me/rows --local-dir clip-weights`" in str(e.value)
    assert 'encoders.load("clip-weights")' in str(e.value)
    with pytest.raises(ValueError, match="expected hf-hub:ORGANISATION/NAME"):
        encoders.load("hf-hub:rows")


def test_an_answer_that_is_an_error_is_told(server, online, tmp_path):
    online(server)
    with pytest.raises(FileNotFoundError, match=r"127\.0\.0\.1:\d+ answers 404 Not Found"):
        published.from_hub("no/such", (FILE,), "x/y", str(tmp_path))


def test_a_download_that_breaks_off_is_told(server, online, tmp_path, monkeypatch):
    online(server)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", broken)
    with pytest.raises(FileNotFoundError, match=r"broke off \(ConnectionError: half way\).*hf do"):
        published.from_hub(REPO, (FILE,), "x/y", str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", broken)
    with pytest.raises(FileNotFoundError, match=r"broke off \(ConnectionError: half way\).*curl"):
        published.from_url(f"{server}/{REPO}/resolve/main/{FILE}", "x/y", str(tmp_path))


def broken(*args, **kwargs):
    raise ConnectionError("half way")


def test_torchs_files_are_checked_by_their_name(tmp_path):
    """torchvision publishes NAME-SHA256START.pth; a file that differs is not kept."""
    digest = hashlib.sha256(b"the weights").hexdigest()[:8]
    for name, good in ((f"net-{digest}.pth", True), ("net-00000000.pth", False)):
        (tmp_path / name).write_bytes(b"the weights")
        url, cache = (tmp_path / name).as_uri(), tmp_path / "cache"
        if good:
            assert published.from_url(url, "net", str(cache)).read_bytes() == b"the weights"
            (tmp_path / name).unlink()
            assert published.from_url(url, "net", str(cache)) == cache / name  # from the cache now
        else:
            with pytest.raises(FileNotFoundError, match=r"broke off .*invalid hash"):
                published.from_url(url, "net", str(cache))
            assert not (cache / name).exists()


def test_absent_resnet101_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(published, "unreachable", lambda url: "is out of reach (no network)")
    with pytest.raises(FileNotFoundError) as e:
        encoders.load("resnet101/imagenet", cache_dir=str(tmp_path))
    into = "resnet101-imagenet/resnet101-63fe2227.pth"
    assert f"`curl -L --create-dirs -o {into} https" in str(e.value)


@pytest.mark.parametrize("name", ["RN101-quickgelu/openai", "resnet101/imagenet"])
def test_weights_that_were_brought_by_hand_are_found_on_a_node_without_network(
    name, home, monkeypatch, tmp_path
):
    """What the advice says is done to the letter: the folder is made elsewhere, and copied."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(published, "unreachable", lambda url: "is out of reach")
    with pytest.raises(FileNotFoundError) as e:
        encoders.load(name, cache_dir=str(tmp_path / "cache"))
    command = re.search("`(.+?)`", str(e.value))[1].split()
    fetched = f"{command[-1]}/{command[3]}"
    file = fetched if command[0] == "hf" else command[command.index("-o") + 1]
    into = Path(re.search(r"copy that folder into (.+?),", str(e.value))[1])
    assert into == home / "weights"
    (into / file).parent.mkdir(parents=True)
    (into / file).touch()
    read, any_encoder = [], encoders.fresh("stickers-supervised", 0)
    monkeypatch.setattr(encoder, "_filled", lambda *given: read.append(given[2]) or any_encoder)
    encoders.load(name, cache_dir=str(tmp_path / "cache"))
    assert read == [into / file]


@pytest.mark.parametrize("manner", ["slow", 405, 403, 503])
def test_a_server_that_is_slow_or_refuses_the_head_alone_gives_its_file(
    manner, server, tmp_path, monkeypatch
):
    def head(self):
        if manner == "slow":
            time.sleep(1)
        self.send_response(200 if manner == "slow" else manner)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def get(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(Hub.content)))
        self.end_headers()
        self.wfile.write(Hub.content)

    monkeypatch.setattr(published.unreachable, "__defaults__", (0.3,))
    monkeypatch.setattr(Hub, "do_HEAD", head)
    monkeypatch.setattr(Hub, "do_GET", get)
    assert published.from_url(f"{server}/w.pt", "x", str(tmp_path)).read_bytes() == Hub.content


def test_a_host_that_takes_no_call_is_not_waited_for(monkeypatch):
    ended = threading.Event()  # with the test, and the threads that wait with it

    def silent(*_, **__):
        ended.wait(4)
        raise OSError("no answer")

    monkeypatch.setattr(published.urllib.request, "urlopen", silent)
    monkeypatch.setattr(published.socket, "create_connection", silent)
    start = time.perf_counter()
    assert "does not answer within 0.2 s" in published.unreachable("http://far.example", 0.2)
    assert time.perf_counter() - start < 1
    ended.set()
