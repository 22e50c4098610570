"""Every code block of the README and the documentation is run, or says why it is not.

Each block is a program of its own, run in an empty folder that holds only ``examples/``:

- ``python`` blocks by this interpreter;
- ``console``, ``bash`` and ``sh`` blocks line by line, as far as lines begin with ``$ ``
  (a trailing backslash continues a line); other lines show output and are not compared;
- ``json``, ``toml`` and ``ini`` blocks are parsed.

A comment right before a block changes that:

- ``<!-- continued -->``: run in the folder of the block before; Python also keeps its names.
- ``<!-- exits 2 -->``: the block's last command must end with this status.
- ``<!-- not run: REASON -->``: the reason must not be empty.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md"))
)
BLOCK = re.compile(
    r"^(?P<indent>[ ]*)(?P<fence>```+)(?P<language>[^\n`]*)\n(?P<body>.*?)^(?P=indent)(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
MARKER = re.compile(r"<!--\s*(?P<text>[^<>]*?)\s*-->\s*\Z")
SHELL = {"console", "bash", "sh"}
SHOWN_ONLY = {"", "text", "diff"}
TIMEOUT_S = 300


def parse_ini(text: str) -> object:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return parser


PARSERS: dict[str, Callable[[str], object]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "ini": parse_ini,
}


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, what it holds and the comment before it."""

    page: str
    line: int
    language: str
    body: str
    marker: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_run(self) -> bool:
        return self.language in {"python", *SHELL} and not self.marker.startswith("not run:")

    @property
    def expected_status(self) -> int:
        return int(self.marker.removeprefix("exits ")) if self.marker.startswith("exits ") else 0

    def commands(self) -> str:
        """Return a shell block's commands, one a line; empty if it shows none."""
        lines = re.findall(r"^\$ ((?:.*\\\n)*.*)$", self.body, re.MULTILINE)
        return "\n".join(lines)


def read_blocks(page: str, text: str) -> Iterator[Block]:
    for match in BLOCK.finditer(text):
        before = text[: match.start()]
        marker = MARKER.search(before)
        yield Block(
            page=page,
            line=before.count("\n") + 1,
            language=match["language"].strip(),
            body=textwrap.dedent(match["body"]),
            marker=marker["text"] if marker else "",
        )


def page_blocks(page: str) -> list[Block]:
    return list(read_blocks(page, (ROOT / page).read_text("utf-8")))


def chains(blocks: list[Block]) -> list[list[Block]]:
    """Group each block that is run with the blocks marked as continuing it."""
    grouped: list[list[Block]] = []
    for block in blocks:
        if not block.is_run:
            continue
        if block.marker == "continued" and grouped:
            grouped[-1].append(block)
        else:
            grouped.append([block])
    return grouped


ALL_BLOCKS = [block for page in PAGES for block in page_blocks(page)]
CHAINS = [chain for page in PAGES for chain in chains(page_blocks(page))]


def command_line(chain: list[Block], index: int) -> list[str]:
    """Return the process that runs block `index` of a chain."""
    block = chain[index]
    if block.language == "python":
        earlier = [each.body for each in chain[:index] if each.language == "python"]
        return [sys.executable, "-c", "\n".join((*earlier, block.body))]
    return ["bash", "-euo", "pipefail", "-c", block.commands()]


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: str(chain[0]))
def test_block_runs(
    chain: list[Block], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "IMPASTO_CACHE": str(tmp_path_factory.getbasetemp() / "impasto-cache"),
    }
    for index, block in enumerate(chain):
        done = subprocess.run(
            command_line(chain, index),
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == block.expected_status, (
            f"{block} ended with status {done.returncode}\n{done.stdout}\n{done.stderr}"
        )


@pytest.mark.parametrize("block", ALL_BLOCKS, ids=str)
def test_block_is_well_formed(block: Block) -> None:
    known = {"python", *SHELL, *PARSERS, *SHOWN_ONLY}
    assert block.language in known, f"{block}: use one of {', '.join(sorted(known))}"
    assert re.fullmatch(r"|continued|exits \d+|not run: \S.*", block.marker, re.DOTALL), (
        f"{block}: unknown or empty comment {block.marker!r} before the block"
    )
    if block.language in PARSERS:
        PARSERS[block.language](block.body)
    if block.language in SHELL and block.is_run:
        assert block.commands(), f"{block}: no line begins with '$ ', so nothing would be run"


@pytest.mark.parametrize("page", PAGES)
def test_every_fence_is_closed(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    fences = re.findall(r"^[ ]*```", text, re.MULTILINE)
    assert len(fences) == 2 * len(page_blocks(page))


@pytest.mark.parametrize("page", PAGES)
def test_links_to_files_lead_somewhere(page: str) -> None:
    text = BLOCK.sub("", (ROOT / page).read_text("utf-8"))
    targets = re.findall(r"\]\((?!https?://|mailto:|#)([^)#\s]+)", text)
    missing = [name for name in targets if not (ROOT / page).parent.joinpath(name).exists()]
    assert not missing, f"{page} links to {', '.join(missing)}"


SAMPLE = """\
```python
x = 1
```

<!-- continued -->
```python
print(x)
```

1. In a list:

   <!-- exits 2 -->
   ```console
   $ impasto paint \\
       nothing.jpg
   Error: no such file
   ```

<!-- not run: needs the network -->
```bash
$ impasto fetch nin
```
"""


def test_blocks_are_found_with_their_markers() -> None:
    blocks = list(read_blocks("sample.md", SAMPLE))
    assert [(block.language, block.marker) for block in blocks] == [
        ("python", ""),
        ("python", "continued"),
        ("console", "exits 2"),
        ("bash", "not run: needs the network"),
    ]
    assert [block.is_run for block in blocks] == [True, True, True, False]
    assert blocks[2].commands() == "impasto paint \\\n    nothing.jpg"
    assert blocks[2].expected_status == 2
    assert [len(chain) for chain in chains(blocks)] == [2, 1]


def test_continued_python_keeps_its_names() -> None:
    (chain, _) = chains(list(read_blocks("sample.md", SAMPLE)))
    done = subprocess.run(command_line(chain, 1), capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1"]


@pytest.mark.parametrize("marker", ["not run:", "skip", "exits"])
def test_unknown_markers_are_refused(marker: str) -> None:
    block = Block(page="sample.md", line=1, language="python", body="", marker=marker)
    with pytest.raises(AssertionError, match="unknown or empty comment"):
        test_block_is_well_formed(block)
