"""One page that shows a run: pictures, a slider, loss curves, settings, and how to repeat it.

The page is one HTML file that loads nothing and sends nothing; its content security policy allows
its own style, its own script and pictures inside it, and nothing else. Whatever was said outside,
file names first of all, is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image as PillowImage

from impasto import __version__
from impasto.engine.amounts import duration_text
from impasto.engine.canvas import Canvas
from impasto.engine.images import ByteArray, fit, load_image, picture_size, resize
from impasto.engine.inputs import Picture, Subject
from impasto.engine.loss_chart import NOTHING, loss_chart, term_classes
from impasto.engine.machine_report import describe_machine
from impasto.engine.options import INITS, Options, flags
from impasto.engine.reproduction import changed_options, command_line, flag_text, shell_text
from impasto.engine.result import StylizeResult
from impasto.engine.trace import Trace, TracePoint
from impasto.engine.whole_files import whole_file
from impasto.errors import ImageFileError

__all__ = ["Exhibit", "report_page", "write_report"]

SCREEN = 1280
"""Longest side of the pictures in the slider, in pixels."""

LEAST = 480
"""Longest side of the slider, at least, on a screen that has room for it."""

THUMBNAIL = 400
"""Longest side of the inputs."""

MOST_STYLES = 24
"""Style pictures that are shown; of more, the number is told."""

QUALITY = 88
"""WebP's: grain of the painting can be seen, at a quarter of a byte a pixel or so."""


@dataclass(frozen=True)
class Exhibit:
    """What a report is about, besides the result.

    Parameters
    ----------
    subject : ndarray of shape (H, W, 3), path, or Canvas
        The content picture, or the canvas of a texture.
    styles : sequence of ndarray or path
        As they were given to `stylize`.
    trace : Trace, optional
        A recording of the run; without one there are no curves.
    output : path, optional
        The picture's file, which the page names and links to.
    animation : path, optional
        That of an animation, which it links to as well.
    """

    subject: Subject
    styles: Sequence[Picture]
    trace: Trace | None = None
    output: Path | None = None
    animation: Path | None = None


def write_report(path: str | Path, result: StylizeResult, exhibit: Exhibit) -> None:
    """Write a report: the whole file appears at once, or nothing changes on disk.

    Parameters
    ----------
    path : str or Path
        An HTML file, replaced if it exists.
    result : StylizeResult
    exhibit : Exhibit
        Its picture files are read again; of one that cannot be, the page says so.

    Raises
    ------
    ImpastoError
        If the file cannot be written.
    """
    page = report_page(result, exhibit, Path(path).parent)
    with whole_file(path) as file:
        # A file name need not be text.
        file.write(page.encode("utf-8", "backslashreplace"))


def report_page(result: StylizeResult, exhibit: Exhibit, folder: Path | None = None) -> str:
    """Return the report as HTML.

    Parameters
    ----------
    result, exhibit
        As for :func:`write_report`.
    folder : Path, optional
        Where the page is going to be: links to the picture's file begin there.
    """
    files = resources.files("impasto.engine") / "report_page"
    page, style, script = (
        (files / name).read_text("utf-8") for name in ("page.html", "page.css", "page.js")
    )
    points = exhibit.trace.points if exhibit.trace else ()
    return Template(page).substitute(
        version=__version__,
        title=escape(_title(exhibit)),
        lead=escape(_lead(result)),
        facts=_facts(result),
        slider=_slider(result, exhibit, folder),
        inputs=_inputs(result.options, exhibit),
        losses=_losses(result, points),
        command=_command(result, exhibit),
        settings=_settings(result.options),
        run=_run(result),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
    )


def _title(exhibit: Exhibit) -> str:
    texture = isinstance(exhibit.subject, Canvas)
    content = "A texture" if texture else _name(exhibit.subject, "A picture")
    named = [_name(style, "a painting") for style in exhibit.styles]
    if len(named) > 2:
        named = [named[0], f"{len(named) - 1} more paintings"]
    return f"{content} in the style of {' and '.join(named)}" if named else content


def _lead(result: StylizeResult) -> str:
    resumed = ""
    if result.resumed_from is not None:
        resumed = f" The run was resumed after iteration {result.resumed_from}."
    return result.status.value + resumed


def _facts(result: StylizeResult) -> str:
    height, width, _ = result.image.shape
    facts = {
        "size": f"{width} × {height} pixels",  # noqa: RUF001 - a multiplication sign
        "iterations": str(result.iterations),
        "loss": f"{result.loss:.6g}",
        "time": _duration(result.seconds["total"]),
        "model": result.model,
        "computed by": f"{result.backend}, {result.precision}",
    }
    rows = (f"<div><dt>{key}</dt><dd>{escape(value)}</dd></div>" for key, value in facts.items())
    return f'<dl class="facts">{"".join(rows)}</dl>'


def _slider(result: StylizeResult, exhibit: Exhibit, folder: Path | None) -> str:
    painted = _at_most(result.image, SCREEN)
    height, width, _ = painted.shape
    after = _img(painted, "The painted picture", "after", LEAST)
    photo = _loaded(exhibit.subject, result.options, SCREEN)
    files = {"Full size": exhibit.output, "Animation": exhibit.animation}
    links = [_link(what, path, folder) for what, path in files.items() if path is not None]
    under = f'<p class="note under">{" · ".join(links)}</p>' if links else ""
    if photo is None:
        # A texture has none, or it is gone since: the painted picture alone.
        return f'<div class="compare">{after.replace(" after", "")}</div>{under}'
    before = _img(resize(photo, width, height), "The photo", "before", LEAST)
    return (
        f'<div class="compare">{before}{after}<span class="tag left">photo</span>'
        '<span class="tag right">painted</span><span class="edge"></span>'
        '<input type="range" min="0" max="100" step="any" value="50" '
        'aria-label="Edge between the photo, left, and the painted picture, right"></div>'
        '<p class="note under only-screen">Drag, or focus the picture and use the arrow keys.</p>'
        f"{under}"
    )


def _inputs(options: Options, exhibit: Exhibit) -> str:
    blend = options.style_blend_weights
    shown: list[tuple[Picture, str]] = []
    if not isinstance(exhibit.subject, Canvas):
        shown.append((exhibit.subject, "content"))
    for index, style in enumerate(exhibit.styles[:MOST_STYLES]):
        weight = f", weight {flag_text(blend[index])}" if index < len(blend) else ""
        shown.append((style, f"style{weight}"))
    if options.init not in INITS:
        shown.append((options.init, "first image"))
    figures = "".join(_figure(picture, role, options) for picture, role in shown)
    more = len(exhibit.styles) - MOST_STYLES
    rest = f'<p class="note">and {more} more style pictures</p>' if more > 0 else ""
    return f'<div class="pictures">{figures}</div>{rest}'


def _figure(picture: Picture, role: str, options: Options) -> str:
    pixels = _loaded(picture, options, THUMBNAIL)
    name = escape(_name(picture, "given as an array"))
    image = "<p>The file can no longer be read.</p>"
    if pixels is not None:
        image = _img(pixels, role)
    return f"<figure>{image}<figcaption>{escape(role)}: {name}</figcaption></figure>"


def _losses(result: StylizeResult, points: Sequence[TracePoint]) -> str:
    chart = '<p class="note">The run was not recorded.</p>'
    if any(NOTHING <= point.loss < np.inf for point in points):
        chart = f'<div class="wide">{loss_chart(points)}</div>'
        if points[0].scale != points[-1].scale:
            chart += (
                '<p class="note">Dashed lines are where the next scale begins. Losses of different '
                "scales cannot be compared.</p>"
            )
    return chart + _loss_table(result)


def _loss_table(result: StylizeResult) -> str:
    """Tell the terms of the picture that was kept."""
    classes = term_classes(list(result.losses))
    rows = [_loss_row("total", "total", result.loss, result.loss)]
    rows += [
        _loss_row(name, classes[name], value, result.loss) for name, value in result.losses.items()
    ]
    return (
        '<div class="wide"><table><thead><tr><th>term</th>'
        '<th class="number">loss of the picture</th><th class="number">share</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _loss_row(name: str, kind: str, value: float, total: float) -> str:
    share = f"{100 * value / total:.1f} %" if total > 0 and np.isfinite(total) else ""
    key = (
        f'<svg class="key" viewBox="0 0 32 10" aria-hidden="true">'
        f'<line class="{kind}" x1="0" x2="32" y1="5" y2="5"/></svg>'
    )
    return (
        f'<tr><td class="term">{key} {escape(name)}</td><td class="number">{value:.6g}</td>'
        f'<td class="number">{share}</td></tr>'
    )


def _command(result: StylizeResult, exhibit: Exhibit) -> str:
    subject = exhibit.subject
    styles = [os.fspath(each) for each in exhibit.styles if not isinstance(each, np.ndarray)]
    if isinstance(subject, np.ndarray) or len(styles) < len(exhibit.styles):
        return (
            '<p class="note">The pictures were given as arrays by a program, so no command paints '
            "this one.</p>"
        )
    output = exhibit.output or Path("painted.png")
    line = shell_text(command_line(subject, styles, result.options, output))
    return (
        f"<pre><code>{escape(line)}</code></pre>"
        '<p class="note">In the folder it was run in. The numbers are the same on the same machine '
        "and versions; others round differently.</p>"
    )


def _settings(options: Options) -> str:
    changed = changed_options(options)
    told = options.to_dict()
    first = _table(("setting", "value", "default"), _setting_rows(changed, told))
    everything = _table(("setting", "value", "default"), _setting_rows(tuple(told), told))
    return (
        f'{first}<p class="note">All others are at their defaults.</p>'
        f"<details><summary>All settings</summary>{everything}</details>"
    )


def _setting_rows(names: Sequence[str], told: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    defaults = Options().to_dict()
    for name in names:
        yield flags(name)[0], _value_text(told[name]), _value_text(defaults[name])


def _value_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return flag_text(value) or "(none)"


def _run(result: StylizeResult) -> str:
    times = [(name, _duration(value)) for name, value in result.seconds.items()]
    numbers = {
        "evaluations": result.evaluations,
        "scales": ", ".join(f"{w} × {h}" for w, h in result.sizes),  # noqa: RUF001
        **{f"execution: {key}": value for key, value in result.execution.items()},
    }
    machine = _flat(describe_machine())
    return (
        _table(("phase", "time"), times)
        + "<details><summary>How it was computed</summary>"
        + _table(("what", "value"), [(key, str(value)) for key, value in numbers.items()])
        + "</details><details><summary>Machine and versions</summary>"
        + _table(("what", "value"), machine)
        + "</details>"
    )


def _flat(machine: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    for key, value in machine.items():
        if key == "memory_bytes":
            key, value = "memory", f"{value / 2**30:.1f} GiB" if value else "unknown"
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        rows.append((key.replace("_", " "), text))
    return rows


def _table(heads: Sequence[str], rows: Iterator[tuple[str, ...]] | list[tuple[str, str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _name(picture: Subject, otherwise: str) -> str:
    return otherwise if isinstance(picture, np.ndarray | Canvas) else Path(picture).name


def _loaded(picture: Subject, options: Options, longest_side: int) -> ByteArray | None:
    """Return a picture no larger than asked; None if there is none that can be read."""
    if isinstance(picture, Canvas):
        return None
    if isinstance(picture, np.ndarray):
        return _at_most(picture, longest_side)
    path, limit = os.fspath(picture), options.max_pixels
    try:
        return load_image(path, limit, min(longest_side, max(picture_size(path, limit))))
    except ImageFileError:
        return None


def _at_most(pixels: ByteArray, longest_side: int) -> ByteArray:
    return fit(pixels, longest_side) if max(pixels.shape[:2]) > longest_side else pixels


def _img(pixels: ByteArray, alt: str, kind: str = "", least: int = 0) -> str:
    """Return a picture as a tag; one smaller than `least` is shown at twice its size or more."""
    height, width, _ = pixels.shape
    times = max(1, -(-least // max(height, width)))
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, format="WEBP", quality=QUALITY, method=4)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    named = f'class="{kind}" ' if kind else ""
    return (
        f'<img {named}width="{times * width}" height="{times * height}" alt="{escape(alt)}" '
        f'draggable="false" src="data:image/webp;base64,{data}">'
    )


def _link(what: str, path: Path, folder: Path | None) -> str:
    target = os.path.relpath(path, folder) if folder is not None else path.name
    # Every sign that means something in an address is quoted: a name is never a scheme.
    address = quote(Path(target).as_posix().encode("utf-8", "surrogateescape"))
    return f'{what}: <a href="{escape(address)}">{escape(path.name)}</a>'


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else duration_text(seconds)


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
