"""Tar shards, local or at a URL: which pictures they hold, and the bytes of some of them.

A shard is read from its beginning to the last picture that is asked for, as a stream: nothing of it
is kept on disk. webdataset opens URLs, and does nothing else here: it cannot resume, and its order
depends on the number of workers.
"""

import os
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

from cinv_lib.data import listing

BUFFER = 2**20  # bytes read at once


def expanded(pattern: str) -> list[str]:
    """The addresses of a text with braces, as "pics-{0000..0099}.tar", in their order."""
    _webdataset()
    from webdataset.shardlists import expand_urls

    return expand_urls(pattern)


def address(url: str) -> str:
    """The shard's path or URL, if it can be opened; a `file:` URL becomes a path.

    Raises ValueError for what webdataset has no way to open and for `pipe:`, which would run a
    shell; FileNotFoundError for a path where nothing is.
    """
    parts = urlparse(url)
    if parts.scheme not in ("", "file"):
        known = sorted({*_webdataset().gopen_schemes} - {"pipe", "__default__"})
        if parts.scheme not in known:
            raise ValueError(
                f"shard {url}: expected a path, or a URL that begins with {', '.join(known)}. "
                "pipe: would run a shell; of another store, take its https address, or mount it"
            )
        return url
    path = url2pathname(parts.path) if parts.scheme else url
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"shard {path} is absent; expected a tar archive there: check the pattern, or fetch it"
        )
    return path


def pictures(url: str, places: Sequence[int]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of the pictures at these places of a shard, which have to ascend.

    Places count the pictures of the archive from 0, in its order; other files are passed over. The
    end of a name says what is a picture (`listing.known_endings`).
    Raises OSError where the shard cannot be read, ValueError where it is no tar archive or damaged,
    or ends before the last of the places; each names the shard.
    """
    there, taken = 0, 0
    with _named(url), _opened(url) as file, _archive(url, file) as tar:
        for member in _members(tar):
            if there == places[taken]:
                yield member.name, tar.extractfile(member).read()  # type: ignore[union-attr]
                taken += 1
                if taken == len(places):
                    return
            there += 1
    raise ValueError(
        f"shard {url} has {there:,} pictures; expected {places[-1] + 1:,} or more, as was said. If "
        "it was cut short, fetch it again; else give pictures= the number of each shard, which "
        "Shards.counted finds"
    )


def count(url: str) -> int:
    """How many pictures a shard has. Of a file only the heads are read, a URL is fetched whole.

    Raises as `pictures` does.
    """
    with _named(url), _opened(url) as file, _archive(url, file) as tar:
        return sum(1 for _ in _members(tar))


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    endings = tuple(listing.known_endings())
    for member in tar:
        tar.members.clear()  # type: ignore[attr-defined]  # else it keeps all of them
        name = os.path.basename(member.name)
        if member.isfile() and name.lower().endswith(endings) and not listing.junk(name):
            yield member


def _archive(url: str, file: Any) -> tarfile.TarFile:
    """A URL is read forwards, compressed or not; in a file what is not asked for is passed over."""
    mode = "r|*" if urlparse(url).scheme else "r:*"
    return tarfile.open(fileobj=file, mode=mode, bufsize=BUFFER)  # type: ignore[call-overload]


def _opened(url: str) -> Any:
    return _webdataset().gopen(url) if urlparse(url).scheme else open(url, "rb")


def _webdataset() -> Any:
    # Before the import: it then refuses `pipe:`, and addresses that the environment turns into one.
    os.environ.setdefault("WDS_SECURE", "1")
    import webdataset

    return webdataset


@contextmanager
def _named(url: str) -> Iterator[None]:
    """What is wrong with a shard, with its name and what helps."""
    try:
        yield
    except FileNotFoundError as e:
        if urlparse(url).scheme:
            raise FileNotFoundError(
                f"shard {url}: {e.filename or e} is needed to fetch it, and is not installed here"
            ) from e
        raise FileNotFoundError(f"shard {url} is absent: it was moved or deleted") from e
    except (tarfile.TarError, EOFError) as e:
        reason = str(e).partition("\n")[0].rstrip(":")  # then come all ways that were tried
        raise ValueError(
            f"shard {url} is no whole tar archive ({reason}): fetch or write it again; a "
            "training goes on from its checkpoint"
        ) from e
    except OSError as e:
        raise OSError(
            f"shard {url} cannot be read ({e}): check its address, the network and your rights to "
            "it; a training goes on from its checkpoint"
        ) from e
