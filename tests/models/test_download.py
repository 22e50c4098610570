"""Fetching weights from a real server on this machine, which behaves in every bad way."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import random
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from impasto.errors import DownloadError
from impasto.models import ModelSpec, model_spec
from impasto.models.weights import download
from impasto.models.weights.cache import cache_directory, cached_file
from impasto.models.weights.download import fetch
from impasto.models.weights.lock import locked

CONTENT = random.Random(0).randbytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
TAG = '"version-1"'

Page = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers with the page a test has put on the site, or 404."""

    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Range")))
        self.server.pages.get(self.path, not_found)(self)

    def head(self, status: int, headers: dict[str, object]) -> None:
        self.send_response(status)
        for name, value in (headers | {"Connection": "close"}).items():
            self.send_header(name, str(value))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Site(ThreadingHTTPServer):
    """A server on a free port of the loopback interface."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, Page] = {}
        self.seen: list[tuple[str, str | None]] = []
        self.closing = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that hang up are what is tested."""


def not_found(handler: Handler) -> None:
    handler.head(404, {"Content-Length": 0})


def resumable(content: bytes = CONTENT, tag: str = TAG, cuts: tuple[int, ...] = ()) -> Page:
    """Serve `content` with ranges; hang up at byte ``cuts[n]`` of it in the n-th answer."""
    ends = iter(cuts)

    def page(handler: Handler) -> None:
        begin, headers = 0, {"ETag": tag}
        if handler.headers.get("If-Range") == tag:
            begin = int(str(handler.headers["Range"]).removeprefix("bytes=").rstrip("-"))
            if begin >= len(content):
                handler.head(416, {"Content-Range": f"bytes */{len(content)}"})
                return
            headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
        handler.head(206 if begin else 200, headers | {"Content-Length": len(content) - begin})
        handler.wfile.write(content[begin : next(ends, len(content))])

    return page


def without_ranges(handler: Handler) -> None:
    handler.head(200, {"Content-Length": len(CONTENT)})
    handler.wfile.write(CONTENT)


def in_small_pieces(handler: Handler) -> None:
    handler.head(200, {"Content-Length": len(CONTENT)})
    for begin in range(0, len(CONTENT), 1000):
        handler.wfile.write(CONTENT[begin : begin + 1000])
        handler.wfile.flush()


def endless(handler: Handler) -> None:
    handler.head(200, {})
    while not handler.server.closing.is_set():
        handler.wfile.write(bytes(2**16))


def stalling(handler: Handler) -> None:
    handler.head(200, {"Content-Length": len(CONTENT), "ETag": TAG})
    handler.wfile.write(CONTENT[:100_000])
    handler.wfile.flush()
    handler.server.closing.wait()


def announcing(length: object) -> Page:
    return lambda handler: handler.head(200, {"Content-Length": length})


def compressed(handler: Handler) -> None:
    handler.head(200, {"Content-Encoding": "gzip", "Content-Length": 20})
    handler.wfile.write(bytes(20))


def wrong_range(handler: Handler) -> None:
    headers = {"Content-Range": "bytes 5-9/10", "Content-Length": 5}
    handler.head(206, headers)
    handler.wfile.write(bytes(5))


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


def spec_for(site: Site, *paths: str, **changes: Any) -> ModelSpec:
    """Return an entry whose URLs are `paths` of the site, in this order."""
    return dataclasses.replace(
        model_spec("nin"),
        filename="net.pth",
        urls=tuple(site.url(path) for path in paths),
        **({"sha256": SHA256, "git_blob_sha1": None} | changes),
    )


def names(directory: Path) -> set[str]:
    """Return the files in `directory`, except the lock, which means nothing by itself."""
    return {path.name for path in directory.iterdir()} - {"net.pth.lock"}


def begin_download(site: Site, directory: Path) -> None:
    """Leave a part of ``/file`` behind, of no more than 100 000 bytes."""
    site.pages["/file"] = resumable(cuts=(100_000, 0))
    with pytest.raises(DownloadError, match="cut after"):
        fetch(spec_for(site, "/file"), directory)
    site.seen.clear()


def test_whole_download(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = resumable()
    path = fetch(spec_for(site, "/file"), tmp_path / "new" / "directory")
    assert path == tmp_path / "new" / "directory" / "net.pth"
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == {"net.pth", "net.pth.sha256"}
    assert path.with_name("net.pth.sha256").read_text() == f"{SHA256}  net.pth\n"


def test_file_that_is_here_is_not_fetched_again(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = resumable()
    spec = spec_for(site, "/file")
    assert fetch(spec, tmp_path) == fetch(spec, tmp_path)
    assert len(site.seen) == 1


def test_progress_ends_at_the_total(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = resumable()
    calls: list[tuple[int, int | None]] = []
    fetch(spec_for(site, "/file"), tmp_path, lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (len(CONTENT), len(CONTENT))


def test_cut_connection_is_resumed(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = resumable(cuts=(150_000,))
    calls: list[tuple[int, int | None]] = []
    path = fetch(spec_for(site, "/file"), tmp_path, lambda *call: calls.append(call))
    assert path.read_bytes() == CONTENT
    (_, first), (_, second) = site.seen
    assert first is None
    assert second is not None
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= 150_000
    assert {total for _, total in calls} == {len(CONTENT)}


def test_cut_download_stays_and_a_later_call_goes_on(site: Site, tmp_path: Path) -> None:
    begin_download(site, tmp_path)
    assert names(tmp_path) == {"net.pth.part", "net.pth.part.json"}
    kept = (tmp_path / "net.pth.part").stat().st_size
    assert 0 < kept <= 100_000
    site.pages["/file"] = resumable()
    assert fetch(spec_for(site, "/file"), tmp_path).read_bytes() == CONTENT
    assert site.seen == [("/file", f"bytes={kept}-")]


def test_changed_file_is_begun_again(site: Site, tmp_path: Path) -> None:
    begin_download(site, tmp_path)
    changed = CONTENT[::-1]
    site.pages["/file"] = resumable(changed, tag='"version-2"')
    spec = spec_for(site, "/file", sha256=hashlib.sha256(changed).hexdigest())
    assert fetch(spec, tmp_path).read_bytes() == changed


def test_server_without_ranges_is_begun_again(site: Site, tmp_path: Path) -> None:
    begin_download(site, tmp_path)
    site.pages["/file"] = without_ranges
    assert fetch(spec_for(site, "/file"), tmp_path).read_bytes() == CONTENT


def test_part_of_another_url_is_not_continued(site: Site, tmp_path: Path) -> None:
    begin_download(site, tmp_path)
    site.pages["/other"] = resumable()
    assert fetch(spec_for(site, "/other"), tmp_path).read_bytes() == CONTENT
    assert site.seen == [("/other", None)]


def test_part_without_a_note_is_not_continued(site: Site, tmp_path: Path) -> None:
    (tmp_path / "net.pth.part").write_bytes(b"something else")
    (tmp_path / "net.pth.part.json").write_text(json.dumps(["no", "note"]))
    site.pages["/file"] = resumable()
    assert fetch(spec_for(site, "/file"), tmp_path).read_bytes() == CONTENT


def test_complete_part_is_checked_and_used(site: Site, tmp_path: Path) -> None:
    begin_download(site, tmp_path)
    (tmp_path / "net.pth.part").write_bytes(CONTENT)
    site.pages["/file"] = resumable()
    assert fetch(spec_for(site, "/file"), tmp_path).read_bytes() == CONTENT
    assert site.seen == [("/file", f"bytes={len(CONTENT)}-")]


def test_complete_part_of_known_size_needs_no_server(site: Site, tmp_path: Path) -> None:
    begin_download(site, tmp_path)
    (tmp_path / "net.pth.part").write_bytes(CONTENT)
    spec = spec_for(site, "/file", size_bytes=len(CONTENT))
    assert fetch(spec, tmp_path).read_bytes() == CONTENT
    assert site.seen == []


def test_tampered_part_is_noticed(site: Site, tmp_path: Path) -> None:
    begin_download(site, tmp_path)
    part = tmp_path / "net.pth.part"
    part.write_bytes(bytes(part.stat().st_size))
    site.pages["/file"] = resumable()
    with pytest.raises(DownloadError, match="SHA-256"):
        fetch(spec_for(site, "/file"), tmp_path)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("kind", ["sha256", "md5", "sha1", "git_blob_sha1"])
def test_wrong_hash_leaves_nothing(site: Site, tmp_path: Path, kind: str) -> None:
    site.pages["/file"] = resumable()
    wrong = "0" * {"sha256": 64, "md5": 32}.get(kind, 40)
    with pytest.raises(DownloadError, match=f"expected {wrong}, and was deleted"):
        fetch(spec_for(site, "/file", **{"sha256": None, kind: wrong}), tmp_path)
    assert names(tmp_path) == set()


def test_every_kind_of_hash_is_understood(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = resumable()
    blob = b"blob %d\0" % len(CONTENT) + CONTENT
    spec = spec_for(
        site,
        "/file",
        md5=hashlib.md5(CONTENT).hexdigest(),
        sha1=hashlib.sha1(CONTENT).hexdigest(),
        git_blob_sha1=hashlib.sha1(blob).hexdigest(),
    )
    assert fetch(spec, tmp_path).read_bytes() == CONTENT


def test_unpublished_hash_is_said_and_recorded(
    site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site.pages["/file"] = resumable()
    spec = spec_for(site, "/file", sha256=None)
    with caplog.at_level(logging.WARNING):
        fetch(spec, tmp_path).unlink()
    assert SHA256 in caplog.text
    site.pages["/file"] = resumable(CONTENT[::-1])
    with pytest.raises(DownloadError, match="earlier download"):
        fetch(spec, tmp_path)
    assert names(tmp_path) == {"net.pth.sha256"}


def test_second_url_is_tried_after_404(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = resumable()
    assert fetch(spec_for(site, "/gone", "/file"), tmp_path).read_bytes() == CONTENT
    assert [path for path, _ in site.seen] == ["/gone", "/file"]


def test_second_url_is_tried_after_a_wrong_file(site: Site, tmp_path: Path) -> None:
    site.pages |= {"/wrong": resumable(b"<html>moved</html>"), "/file": resumable()}
    assert fetch(spec_for(site, "/wrong", "/file"), tmp_path).read_bytes() == CONTENT


def test_failure_names_every_url_and_what_to_do(site: Site, tmp_path: Path) -> None:
    site.pages["/broken"] = lambda handler: handler.head(503, {"Content-Length": 0})
    with pytest.raises(DownloadError) as caught:
        fetch(spec_for(site, "/gone", "/broken"), tmp_path)
    message = str(caught.value)
    assert f"{site.url('/gone')}: the server answered 404" in message
    assert f"{site.url('/broken')}: the server answered 503" in message
    assert "--weights FILE" in message
    assert names(tmp_path) == set()


def test_server_that_is_not_there(site: Site, tmp_path: Path) -> None:
    with Site() as closed:
        spec = spec_for(closed, "/file")
    with pytest.raises(DownloadError, match="no answer"):
        fetch(spec, tmp_path)


def test_slow_server_is_waited_for(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = in_small_pieces
    assert fetch(spec_for(site, "/file"), tmp_path).read_bytes() == CONTENT


def test_server_that_stops_answering_is_given_up(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = stalling
    with pytest.raises(DownloadError, match="cut after"):
        fetch(spec_for(site, "/file"), tmp_path, timeout_s=0.2)
    assert not (tmp_path / "net.pth").exists()


def test_endless_file_is_stopped(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_FILE_BYTES", 2**20)
    site.pages["/file"] = endless
    with pytest.raises(DownloadError, match="longer than 1048576 bytes"):
        fetch(spec_for(site, "/file"), tmp_path)
    assert names(tmp_path) == set()


def test_file_longer_than_registered_is_stopped(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = endless
    with pytest.raises(DownloadError, match="longer than 300000 bytes"):
        fetch(spec_for(site, "/file", size_bytes=len(CONTENT)), tmp_path)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("length", [10**6, 17, 10**18])
def test_announced_size_other_than_registered_is_refused(
    site: Site, tmp_path: Path, length: int
) -> None:
    site.pages["/file"] = announcing(length)
    with pytest.raises(DownloadError, match=f"has {length} bytes, expected 300000"):
        fetch(spec_for(site, "/file", size_bytes=len(CONTENT)), tmp_path)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("length", ["9" * 5000, "-5", "many", "1, 2"])
def test_nonsense_size_is_no_crash(site: Site, tmp_path: Path, length: str) -> None:
    site.pages["/file"] = announcing(length)
    with pytest.raises(DownloadError):
        fetch(spec_for(site, "/file"), tmp_path)
    assert not (tmp_path / "net.pth").exists()


@pytest.mark.parametrize(
    ("page", "message"), [(compressed, "compressed"), (wrong_range, "another range")]
)
def test_answers_that_were_not_asked_for(
    site: Site, tmp_path: Path, page: Page, message: str
) -> None:
    site.pages["/file"] = page
    with pytest.raises(DownloadError, match=message):
        fetch(spec_for(site, "/file"), tmp_path)
    assert not (tmp_path / "net.pth").exists()


def test_embedded_model_is_not_fetched(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="part of Impasto"):
        fetch(model_spec("vgg19"), tmp_path)


def test_directory_that_cannot_be_made(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="Cannot write"):
        fetch(spec_for(site, "/file"), tmp_path / "file")


def test_two_downloads_of_one_file_do_not_mix(site: Site, tmp_path: Path) -> None:
    site.pages["/file"] = resumable()
    with locked(tmp_path / "net.pth.lock") as alone:
        assert alone
        with pytest.raises(DownloadError, match="another process"):
            fetch(spec_for(site, "/file"), tmp_path)
    assert fetch(spec_for(site, "/file"), tmp_path).read_bytes() == CONTENT


def test_cache_directory_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path / "weights"
    assert cached_file(model_spec("nin")) == tmp_path / "weights" / "nin_imagenet.pth"
    monkeypatch.delenv("IMPASTO_CACHE")
    assert "impasto" in str(cache_directory()).lower()
