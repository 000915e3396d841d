"""Files from the network: with a progress bar, resumed where they broke off, checked, unpacked."""

import hashlib
import http.client
import shutil
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import filelock
from tqdm.auto import tqdm

from .one_at_a_time import only_one

ATTEMPTS, SECONDS, CHUNK = 5, 30.0, 1 << 20


def fetch(url: str, md5: str, path: Path, pause: float = 2.0) -> Path:
    """The file at `path`, downloaded from `url` if it is not there, with this MD5 digest.

    What arrives is kept in `path`.part, and a later call goes on from there. A file that somebody
    copied to `path` is taken. pause: seconds before the first of the retries, doubled each time.
    Raises OSError when the network does not give it, ValueError when the digest is another; each
    says what to do.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    with filelock.FileLock(f"{path}.lock"):  # two processes would write into one another
        if not path.exists():
            _download(url, part, path, pause)
            part.replace(path) if digest(part) == md5 else _refuse(part, md5, url, remove=True)
        elif digest(path) != md5:
            _refuse(path, md5, url, remove=False)
    return path


def _refuse(path: Path, md5: str, url: str, remove: bool) -> None:
    size, found = path.stat().st_size, digest(path)
    if remove:
        path.unlink()
    advice = "Run the command again" if remove else f"Delete it and run again, or copy {url} again"
    raise ValueError(f"{path} ({size:,} bytes) has MD5 {found}, expected {md5}. {advice}")


def _download(url: str, part: Path, path: Path, pause: float) -> None:
    for attempt in range(ATTEMPTS):
        try:
            return _append(url, part)
        except (OSError, http.client.HTTPException) as e:
            answered = isinstance(e, urllib.error.HTTPError) and e.code < 500
            if answered or attempt == ATTEMPTS - 1 or not _is_network(e):
                kept = f"{part.stat().st_size:,} bytes are kept. " if part.exists() else ""
                raise OSError(
                    f"{url} could not be fetched ({getattr(e, 'reason', '') or e}). {kept}"
                    f"Run the command again to go on; or, on a machine with network, `curl -LO "
                    f"{url}`, and copy the file to {path}"
                ) from e
            time.sleep(pause * 2**attempt)


def _is_network(error: Exception) -> bool:
    """Not the disk's: a full disk is not cured by asking again."""
    network = (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError)
    return isinstance(error, network)


def _append(url: str, part: Path) -> None:
    """Ask for what is not there yet, and append it. Raises IncompleteRead when it stops early."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=SECONDS)
    except urllib.error.HTTPError as e:
        if have and e.code == 416:  # nothing is left to send
            return
        raise
    with answer:
        if answer.status != 206:  # a server that knows no ranges sends all of it
            have = 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        bar = tqdm(desc=part.stem, total=total, initial=have, unit="B", unit_scale=True)
        with part.open("ab" if have else "wb") as out, bar:
            while piece := answer.read(CHUNK):
                out.write(piece)
                bar.update(len(piece))
    if total is not None and part.stat().st_size < total:
        raise http.client.IncompleteRead(b"", total - part.stat().st_size)


def digest(path: Path) -> str:
    """MD5 of a file: it guards against transfer errors, as the authors of the sets publish it."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar file; members that would land outside `folder` are refused.

    Raises ValueError for such an archive or a damaged one, OSError where the disk is full. The
    folder is there whole or not at all; of two processes that unpack it, one waits for the other.
    """
    with only_one(folder.parent):
        _unpack(archive, folder)


def _unpack(archive: Path, folder: Path) -> None:
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        with tarfile.open(archive) as packed:
            packed.extractall(part, filter="data")
    except tarfile.FilterError as e:
        shutil.rmtree(part, ignore_errors=True)
        raise ValueError(f"{archive} is not safe to unpack: {e}") from e
    except (tarfile.TarError, EOFError) as e:
        shutil.rmtree(part, ignore_errors=True)
        raise ValueError(f"{archive} is damaged ({type(e).__name__}): delete it, run again") from e
    except OSError as e:
        shutil.rmtree(part, ignore_errors=True)
        raise OSError(
            e.errno,
            f"{archive} could not be unpacked to {folder} ({e.strerror or e}). Free some space, or "
            f"set CINV_HOME to another disk, and run again",
        ) from e
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
