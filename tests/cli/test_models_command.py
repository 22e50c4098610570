"""`impasto models` and `impasto fetch`."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from impasto.models import list_models, model_spec

Impasto = Callable[..., Any]
WEIGHTS = bytes(range(256)) * 4096


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    return tmp_path / "weights"


class _Weights(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(WEIGHTS)))
        self.end_headers()
        self.wfile.write(WEIGHTS)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Weights) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/weights"
        httpd.shutdown()
        thread.join()


def test_table_has_every_model(impasto: Impasto, empty_cache: Path) -> None:
    result = impasto("models")
    assert (result.code, result.err) == (0, "")
    for spec in list_models():
        (line,) = (
            line
            for line in result.out.split("\n\n")[0].splitlines()
            if line.split()[0] == spec.name
        )
        assert ("part of Impasto" if spec.embedded else f"impasto fetch {spec.name}") in line
        assert spec.licence.split()[0] in line
    for spec in list_models():
        assert all(layer in result.out for layer in spec.architecture.layer_names)
    assert all(len(line) <= 80 for line in result.out.splitlines())


def test_json_has_every_model(impasto: Impasto, empty_cache: Path) -> None:
    result = impasto("models", "--json")
    entries = {entry["name"]: entry for entry in json.loads(result.out)}
    assert list(entries) == [spec.name for spec in list_models()]
    assert entries["vgg19"]["present"]
    assert not entries["nin"]["present"]
    assert entries["nin"]["layers"][:2] == ["conv1", "relu0"]
    assert entries["nin"]["urls"]


def test_a_fetched_model_is_present(impasto: Impasto, empty_cache: Path) -> None:
    empty_cache.mkdir()
    file = empty_cache / model_spec("nin").filename
    file.write_bytes(b"weights")
    entries = {entry["name"]: entry for entry in json.loads(impasto("models", "--json").out)}
    assert entries["nin"]["present"]
    assert entries["nin"]["path"] == str(file)
    assert "nin                nin      fetched" in impasto("models").out


def test_fetch_of_what_is_here_prints_its_path(impasto: Impasto, empty_cache: Path) -> None:
    empty_cache.mkdir()
    file = empty_cache / model_spec("nin").filename
    file.write_bytes(b"weights")
    result = impasto("fetch", "nin")
    assert (result.code, result.out) == (0, f"{file}\n")
    assert "Licence: unclear" in result.err


def test_fetch_of_the_embedded_model_has_nothing_to_do(impasto: Impasto) -> None:
    result = impasto("fetch", "vgg19")
    assert (result.code, result.out) == (0, "")
    assert result.messages == ["impasto: vgg19 is part of Impasto; there is nothing to fetch."]


def _registered(monkeypatch: pytest.MonkeyPatch, sha256: str, url: str) -> None:
    """Enter a small model of the local server in the registry."""
    spec = replace(
        model_spec("nin"),
        name="tiny",
        filename="tiny.bin",
        urls=(url,),
        sha256=sha256,
        git_blob_sha1=None,
    )
    monkeypatch.setattr("impasto.models.registry._BY_NAME", {"tiny": spec})


def test_fetch_shows_progress_and_the_path(
    impasto: Impasto, empty_cache: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _registered(monkeypatch, hashlib.sha256(WEIGHTS).hexdigest(), server)
    result = impasto("fetch", "tiny")
    assert (result.code, result.last_line) == (0, str(empty_cache / "tiny.bin"))
    assert (empty_cache / "tiny.bin").read_bytes() == WEIGHTS
    assert "tiny.bin: 1.0 of 1.0 MB" in result.err


def test_a_failed_fetch_is_one_line(
    impasto: Impasto, empty_cache: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _registered(monkeypatch, "0" * 64, server)
    result = impasto("fetch", "tiny")
    assert (result.code, result.out) == (1, "")
    assert result.err.splitlines()[-1].startswith("impasto: The weights of model 'tiny' could not")
    assert "Traceback" not in result.err
    assert not (empty_cache / "tiny.bin").exists()
