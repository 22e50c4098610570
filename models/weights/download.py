"""Fetches weights files: resumable, bounded, and trusted only once their hash is right.

A download grows in ``<file>.part``, with ``<file>.part.json`` beside it saying which version of
which URL it is. A cut download stays there, and the next one goes on from its end if the server
still has that version (HTTP ``Range`` with ``If-Range``). ``<file>`` itself appears in one step,
after its hash was checked; so whatever is there was checked. A part with a wrong hash is deleted.

``<file>.sha256`` records the SHA-256 of what was fetched. Where the publisher states none, a later
download of the same file must have that one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import requests

from impasto.errors import DownloadError
from impasto.models.registry import ModelSpec
from impasto.models.weights.cache import cached_file
from impasto.models.weights.lock import locked

__all__ = ["MAX_FILE_BYTES", "Progress", "fetch"]

Progress = Callable[[int, int | None], None]
"""Called with the bytes there are so far, and with all there will be (``None``: unknown)."""

MAX_FILE_BYTES = 2**30
"""Largest file that is fetched when the registry knows no size: 1 GiB."""

_CHUNK_BYTES = 2**16
_ATTEMPTS_PER_URL = 3

_log = logging.getLogger(__name__)


def fetch(
    spec: ModelSpec,
    directory: Path | None = None,
    progress: Progress | None = None,
    timeout_s: float = 60.0,
) -> Path:
    """Fetch the weights of `spec`, unless they are here, and return the file's path.

    Every URL is tried in turn; a cut connection is resumed a few times before the next one.

    Parameters
    ----------
    spec : ModelSpec
        What to fetch.
    directory : path, optional
        Where to put the file; by default, the cache. Made if it does not exist.
    progress : callable, optional
        Called after every piece.
    timeout_s : float
        Seconds to wait for a server's answer, and then for each further piece.

    Raises
    ------
    DownloadError
        If no URL gave the file (for each one, what went wrong), if the file cannot be written, or
        if another process is fetching it.
    """
    if spec.embedded:
        raise DownloadError(f"Model {spec.name!r} is part of Impasto; there is nothing to fetch.")
    target = cached_file(spec, directory)
    if target.is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with locked(target.with_name(target.name + ".lock")) as alone:
            if not alone:
                raise DownloadError(f"{target} is being fetched by another process. Wait for it.")
            _Download(spec, target, progress, timeout_s).run()
    except OSError as error:
        raise DownloadError(f"Cannot write {target}: {error}.") from error
    return target


class _CutError(Exception):
    """The connection ended early; what came of it is in the part."""


class _WrongFileError(DownloadError):
    """The server's file is not the one wanted, so the part is worth nothing."""


@dataclass(frozen=True)
class _Part:
    """An unfinished download: the file that grows, and a note of what it is."""

    data: Path
    note: Path

    @property
    def size(self) -> int:
        """Bytes there are; 0 if there is no file."""
        return self.data.stat().st_size if self.data.is_file() else 0

    def version(self, url: str) -> str | None:
        """Return the version of `url` that this is a part of; None if it is not known to be one."""
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            return str(note["version"]) if note["url"] == url else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def restart(self, url: str, version: str | None) -> None:
        """Empty the part and note what it is going to be; without a version, it cannot resume."""
        self.delete()
        if version is not None:
            self.note.write_text(json.dumps({"url": url, "version": version}), encoding="utf-8")

    def delete(self) -> None:
        """Delete both files, the note first: data without a note is never resumed."""
        self.note.unlink(missing_ok=True)
        self.data.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Download:
    """One call of `fetch` for a file that is not here yet."""

    spec: ModelSpec
    target: Path
    progress: Progress | None
    timeout_s: float

    @property
    def part(self) -> _Part:
        name = self.target.name
        return _Part(
            self.target.with_name(f"{name}.part"), self.target.with_name(f"{name}.part.json")
        )

    @property
    def record(self) -> Path:
        """The file that records the SHA-256 of what was fetched."""
        return self.target.with_name(f"{self.target.name}.sha256")

    def run(self) -> None:
        """Make the target from the first URL that gives the right bytes."""
        failures = []
        for url in self.spec.urls:
            try:
                self._transfer(url)
                sha256 = self._check_hashes()
            except DownloadError as error:
                if isinstance(error, _WrongFileError):
                    self.part.delete()
                failures.append(f"{url}: {error}")
                continue
            self.record.write_text(f"{sha256}  {self.target.name}\n", encoding="utf-8")
            self.part.data.replace(self.target)
            self.part.delete()
            return
        raise DownloadError(
            f"The weights of model {self.spec.name!r} could not be fetched. {' '.join(failures)} "
            "Try again later (a cut download goes on where it ended), or get "
            f"{self.spec.filename} by other means and name it with `--weights FILE`."
        )

    def _transfer(self, url: str) -> None:
        """Complete the part from `url`, going on after a cut as long as anything comes."""
        for _ in range(_ATTEMPTS_PER_URL):
            before = self.part.size
            try:
                self._request(url)
            except _CutError as error:
                reason = f"the connection was cut after {self.part.size} bytes ({error})."
                if self.part.size <= before:
                    break
            else:
                return
        raise DownloadError(reason)

    def _request(self, url: str) -> None:
        """Ask `url` for what is missing, or for all of it, and write that to the part.

        Status 416 (range not satisfiable) with the part's own length says that nothing is missing.
        """
        have, version = self.part.size, self.part.version(url)
        if version is not None and have == self.spec.size_bytes:
            return
        headers = {"Accept-Encoding": "identity"}
        if have and version is not None:
            headers |= {"Range": f"bytes={have}-", "If-Range": version}
        try:
            response = requests.get(url, headers=headers, stream=True, timeout=self.timeout_s)
        except requests.RequestException as error:
            raise DownloadError(f"no answer ({error}).") from error
        with response:
            status = response.status_code
            if status in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
                self._receive(url, response, have)
            elif "Range" in headers and status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                if response.headers.get("Content-Range") != f"bytes */{have}":
                    raise _WrongFileError("the file there has changed since its download began.")
            else:
                raise DownloadError(f"the server answered {status} {response.reason}.")

    def _receive(self, url: str, response: requests.Response, have: int) -> None:
        """Write the body of `response` to the part: at its end, or from the beginning."""
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise DownloadError("the server sent the file compressed, which was not asked for.")
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise _WrongFileError("the server sent another range than was asked for.")
        else:
            have = 0
            self.part.restart(url, _version(response))
        total = _total(response, have)
        self._check_size(total)
        with self.part.data.open("ab") as stream:
            try:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    have += len(chunk)
                    self._check_limit(have)
                    stream.write(chunk)
                    if self.progress is not None:
                        self.progress(have, total)
            except requests.RequestException as error:
                raise _CutError(str(error)) from error
        if total is not None and have < total:
            raise _CutError(f"{total} were announced")

    def _check_size(self, total: int | None) -> None:
        """Refuse a file before it is transferred, if the server says a size that is wrong."""
        expected = self.spec.size_bytes
        if total is not None and expected is not None and total != expected:
            raise _WrongFileError(f"the file there has {total} bytes, expected {expected}.")
        self._check_limit(total or 0)

    def _check_limit(self, size: int) -> None:
        limit = self.spec.size_bytes or MAX_FILE_BYTES
        if size > limit:
            raise _WrongFileError(f"the file there is longer than {limit} bytes.")

    def _check_hashes(self) -> str:
        """Return the SHA-256 of the part, all of whose known hashes are right."""
        found = _hashes(self.part.data)
        recorded = None if self.spec.sha256 else self._recorded()
        stated = {
            "SHA-256": self.spec.sha256 or recorded,
            "MD5": self.spec.md5,
            "SHA-1": self.spec.sha1,
            "git blob SHA-1": self.spec.git_blob_sha1,
        }
        for kind, expected in stated.items():
            if expected is not None and found[kind] != expected:
                raise _WrongFileError(
                    f"the file has {kind} {found[kind]}, expected {expected}"
                    + (f" (that of an earlier download, see {self.record})" if recorded else "")
                    + ", and was deleted."
                )
        if not any(stated.values()):
            _log.warning(
                "No hash is published for the weights of model %r, so a wrong file would not be "
                "noticed. SHA-256 %s is recorded in %s for the next time.",
                self.spec.name,
                found["SHA-256"],
                self.record,
            )
        return found["SHA-256"]

    def _recorded(self) -> str | None:
        """Return the SHA-256 recorded by an earlier download, if there was one."""
        try:
            return self.record.read_text(encoding="utf-8").split()[0]
        except (OSError, ValueError, IndexError):
            return None


def _total(response: requests.Response, have: int) -> int | None:
    """Return the length of the whole file, of which `have` bytes are here, if it is announced."""
    length = response.headers.get("Content-Length", "")
    # More digits than any file's length has: Python refuses to convert thousands of them.
    return have + int(length) if length.isdecimal() and len(length) < 20 else None


def _version(response: requests.Response) -> str | None:
    """Return what names the server's version of the file and is valid in ``If-Range``."""
    tag = response.headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return tag
    return response.headers.get("Last-Modified")


def _hashes(path: Path) -> dict[str, str]:
    """Return every hash a registry entry may state, of the file at `path`."""
    blob_header = b"blob %d\0" % path.stat().st_size
    digests = {
        "SHA-256": hashlib.sha256(),
        "MD5": hashlib.md5(usedforsecurity=False),
        "SHA-1": hashlib.sha1(usedforsecurity=False),
        "git blob SHA-1": hashlib.sha1(blob_header, usedforsecurity=False),
    }
    with path.open("rb+") as stream:
        # On disk before it is renamed: after a power cut, a trusted name has its bytes.
        os.fsync(stream.fileno())
        while chunk := stream.read(2**20):
            for digest in digests.values():
                digest.update(chunk)
    return {kind: digest.hexdigest() for kind, digest in digests.items()}
