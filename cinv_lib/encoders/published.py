"""Published weights: from the local cache, or downloaded; out of reach, it says so at once.

The hub's own client retries for most of a minute before it gives up. Here the local cache is looked
at first, then one request decides whether a download is worth starting. Nodes of a cluster often
have no network: what lies in `data/weights/NAME`, copied from elsewhere, is found before all else.
"""

import contextlib
import re
import shlex
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from cinv_lib.machine import folders

CONNECT_SECONDS = 1.3  # for a host to take the call: twice this is still within three seconds
ANSWER_SECONDS = 10.0  # for it to answer


def open_clip_weights(name: str, record: dict[str, Any], cache_dir: str | None) -> Path:
    """The file of open_clip's `record` of published weights (see config.published)."""
    if found := here(name, record, cache_dir):
        return found
    repo, filenames = _of(record)
    if not repo:
        return from_url(record["url"], name, cache_dir)
    return from_hub(repo, filenames, name, cache_dir)


def here(name: str, record: dict[str, Any], cache_dir: str | None = None) -> Path | None:
    """That file if it is on this machine, without asking the network."""
    repo, filenames = _of(record)
    for brought in (by_hand(name) / filename for filename in filenames):
        if brought.is_file():
            return brought
    if repo:
        return _cached(repo, filenames, cache_dir)
    kept = _checkpoints(cache_dir) / filenames[0]
    return kept if kept.is_file() else None


def fetchable(record: dict[str, Any]) -> bool:
    """Whether that file could be downloaded now: a request each for the names that it may have."""
    from huggingface_hub import constants

    repo, filenames = _of(record)
    if not repo:
        return unreachable(record["url"]) is None
    at = (f"{constants.ENDPOINT}/{repo}/resolve/main/{filename}" for filename in filenames)
    return not constants.is_offline_mode() and any(unreachable(url) is None for url in at)


def by_hand(name: str) -> Path:
    """The folder of weights that somebody has copied here: data/weights/RN101-quickgelu-openai."""
    return folders.home() / "weights" / name.replace("/", "-")


def _of(record: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The hub's repository ("" for an address elsewhere), and the names that the file may have."""
    if not record.get("hf_hub"):
        return "", (record["url"].rsplit("/", 1)[-1],)
    repo, _, filename = record["hf_hub"].rpartition("/")
    # An entry that ends in "/" means open_clip's usual names; safetensors before pickles.
    usual = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    return repo, ((filename,) if filename else usual)


def _cached(repo: str, filenames: tuple[str, ...], cache_dir: str | None) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repo, name, cache_dir=cache_dir) for name in filenames)
    return next((Path(one) for one in found if isinstance(one, str)), None)


def _checkpoints(cache_dir: str | None) -> Path:
    return Path(cache_dir) if cache_dir else Path(torch.hub.get_dir()) / "checkpoints"


def from_hub(
    repo: str,
    filenames: tuple[str, ...],
    name: str,
    cache_dir: str | None,
    whole_folder: bool = False,
) -> Path:
    """The first of `filenames` in the Hugging Face cache, else downloaded with a progress bar: the
    first that the hub has.

    whole_folder: the advice is to bring the whole repository and to name its folder.

    Raises FileNotFoundError, within three seconds when no host takes the call, with what to do.
    """
    from huggingface_hub import constants, hf_hub_download

    if cached := _cached(repo, filenames, cache_dir):
        return cached
    hub = constants.ENDPOINT
    how = f"hf download {repo} {filenames[0]} --local-dir {by_hand(name).name}"
    if whole_folder:
        how = f"hf download {repo} --local-dir clip-weights"
    with _advice(name, cache_dir or constants.HF_HUB_CACHE, how, whole_folder):
        if constants.is_offline_mode():
            raise Obstacle("HF_HUB_OFFLINE is set")
        for filename in filenames:
            why = unreachable(f"{hub}/{repo}/resolve/main/{filename}")
            if not why:
                return Path(hf_hub_download(repo, filename, cache_dir=cache_dir))
            if "answers" not in why:  # no answer to one is none to the others
                break
        raise Obstacle(f"{hub} {why}")


def from_url(url: str, name: str, cache_dir: str | None) -> Path:
    """A file of torch's own cache, else downloaded into it; otherwise as `from_hub`."""
    folder = _checkpoints(cache_dir)
    filename = url.rsplit("/", 1)[-1]
    if (folder / filename).is_file():
        return folder / filename
    # torch and open_clip publish files as NAME-SHA256START.EXT
    digest = re.search(r"-([0-9a-f]{8,64})\.", filename)
    how = f"curl -L --create-dirs -o {by_hand(name).name}/{filename} {shlex.quote(url)}"
    with _advice(name, folder, how):
        if why := unreachable(url):
            raise Obstacle(f"{url} {why}")
        folder.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(folder / filename), digest and digest[1])
        return folder / filename


class Obstacle(Exception):
    """Why a download is not worth a try."""


@contextlib.contextmanager
def _advice(name: str, looked: str | Path, how: str, whole_folder: bool = False) -> Iterator[None]:
    """Whatever stops a download becomes a FileNotFoundError that says what to do."""
    try:
        yield
    except Exception as e:
        broke_off = f"the download broke off ({type(e).__name__}: {e})"
        then = f"copy that folder into {by_hand(name).parent}, where it is found under this name"
        if whole_folder:
            then = 'copy the folder here, and call encoders.load("clip-weights")'
        raise FileNotFoundError(
            f"{name}: the weights are not on this machine (looked in {looked}) and "
            f"{e if isinstance(e, Obstacle) else broke_off}. "
            f"On a machine with network run `{how}`; {then}."
        ) from e


def unreachable(url: str, seconds: float = CONNECT_SECONDS) -> str | None:
    """Ask once for the head of `url`: None if it is worth a download, else a few words why not.

    A host that cannot be connected to within `seconds` is out of reach; one that can may take
    ANSWER_SECONDS, as behind a slow line. It may refuse to answer for the head alone, as mirrors
    do, and signed addresses: only that there is no such file is an answer.
    """
    answer: list[str | None] = ["no answer"]

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
                answer[0] = None
        except urllib.error.HTTPError as e:
            answer[0] = f"answers {e.code} {e.reason}" if e.code in (404, 410) else None
        except Exception as e:  # a broken answer is none of the usual kinds
            answer[0] = f"is out of reach ({getattr(e, 'reason', e)})"

    # In threads: the look-up of a host name does not obey the timeout.
    asking = _begun(ask)
    asking.join(seconds)
    if asking.is_alive() and _connects(url, seconds):
        seconds = ANSWER_SECONDS
        asking.join(seconds)
    return f"does not answer within {seconds:g} s" if answer[0] == "no answer" else answer[0]


def _connects(url: str, seconds: float) -> bool:
    """Whether the host of `url`, or the proxy on the way to it, takes a connection."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    place = (parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))
    taken = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError), socket.create_connection(place, timeout=seconds):
            taken.set()

    _begun(connect)
    return taken.wait(seconds)


def _begun(what: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=what, daemon=True)
    thread.start()
    return thread
