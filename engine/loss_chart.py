"""The losses of a run as a drawing: an SVG element with a line for every term, on a log axis.

The drawing has classes and no colours: the style sheet of `impasto.engine.report` knows them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from impasto.engine.trace import TracePoint

__all__ = ["NOTHING", "loss_chart", "term_classes"]

WIDTH, HEIGHT = 860, 360
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 26, 40
STYLE_COLOURS = 6
NOTHING = 1e-30
"""Losses below are not drawn: float32 knows few smaller numbers."""

TOTAL = "total"


def loss_chart(points: Sequence[TracePoint]) -> str:
    """Return the curves of the total loss and of every term that was ever above zero.

    Parameters
    ----------
    points : sequence of TracePoint
        At least one of them with a finite loss of 1e-30 or more; what has none, is left out.

    Returns
    -------
    str
        An ``<svg>`` element. Where a new scale begins there is a dashed line with its size: losses
        of different scales cannot be compared.
    """
    curves = _curves(points)
    last = max(points[-1].iteration, points[0].iteration + 1)
    # Begun from the photo, the content loss is next to nothing for a step or two: no axis should
    # make room for that, so the lower end is that of the curves' second halves.
    least = min(value for curve in curves.values() for _, value in curve[len(curve) // 2 :])
    most = max(value for curve in curves.values() for _, value in curve)
    frame = _Frame(points[0].iteration, last, least, most)
    classes = term_classes([name for name in curves if name != TOTAL])
    drawn = "".join(
        _line(name, curve, frame, classes.get(name, TOTAL), points)
        for name, curve in reversed(curves.items())  # the total is on top
    )
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Losses by iteration, on a logarithmic axis">'
        f"{''.join(_axes(frame))}{''.join(_scales(points, frame))}{drawn}</svg>"
    )


def term_classes(names: Sequence[str]) -> dict[str, str]:
    """Return the class that colours each term: style layers from cold to warm, in their order."""
    found, styles, contents = {}, 0, 0
    for name in names:
        kind = name.partition("_loss")[0]
        if kind == "style":
            found[name] = f"s{styles % STYLE_COLOURS}"
            styles += 1
        elif kind == "content":
            found[name] = "content more" if contents else "content"
            contents += 1
        else:
            found[name] = "tv" if kind == "tv" else "other"
    return found


class _Frame:
    """From iterations and losses to places in the drawing."""

    def __init__(self, first: int, last: int, least: float, most: float) -> None:
        self.first, self.last = first, last
        low, high = math.log10(least), math.log10(most)
        room = max(0.02 * (high - low), 0.05)
        self.low, self.high = low - room, high + room

    def x(self, iteration: int) -> float:
        share = (iteration - self.first) / (self.last - self.first)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, loss: float) -> float:
        share = max(0.0, (math.log10(loss) - self.low) / (self.high - self.low))
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _curves(points: Sequence[TracePoint]) -> dict[str, list[tuple[int, float]]]:
    """Return (index of the point, loss) of every line, the total first."""
    curves: dict[str, list[tuple[int, float]]] = {}
    for index, point in enumerate(points):
        for name, value in ((TOTAL, point.loss), *point.losses.items()):
            if math.isfinite(value) and value >= NOTHING:
                curves.setdefault(name, []).append((index, value))
    return curves


def _line(
    name: str,
    curve: Sequence[tuple[int, float]],
    frame: _Frame,
    kind: str,
    points: Sequence[TracePoint],
) -> str:
    """Draw a term; the line is broken between scales, and where there is nothing to draw."""
    pieces = [[curve[0]]]
    for (before, _), (index, value) in pairwise(curve):
        if index != before + 1 or points[index].scale != points[before].scale:
            pieces.append([])
        pieces[-1].append((index, value))
    drawn = ""
    for piece in pieces:
        places = [(frame.x(points[index].iteration), frame.y(value)) for index, value in piece]
        if len(places) == 1:
            x, y = places[0]
            drawn += f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>'
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            drawn += f'<polyline class="{kind}" points="{path}"/>'
    title = "total loss" if name == TOTAL else name
    return f"<g><title>{escape(title)}</title>{drawn}</g>"


def _axes(frame: _Frame) -> Iterator[str]:
    for value in _log_ticks(frame.low, frame.high):
        y = frame.y(value)
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_power(value)}</text>'
    for iteration in _ticks(frame.first, frame.last):
        x = frame.x(iteration)
        yield f'<text x="{x:.1f}" y="{HEIGHT - 20}" text-anchor="middle">{iteration}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle:.0f}" y="{HEIGHT - 3}" text-anchor="middle">iteration</text>'


def _scales(points: Sequence[TracePoint], frame: _Frame) -> Iterator[str]:
    """Mark where each scale begins, if there are several."""
    begins = [points[0]]
    begins += [point for before, point in pairwise(points) if point.scale != before.scale]
    if len(begins) == 1:
        return
    for point in begins:
        x = frame.x(point.iteration)
        yield f'<line class="scale" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
        size = f"{point.width}×{point.height}"  # noqa: RUF001 - a multiplication sign
        yield f'<text x="{x + 4:.1f}" y="{TOP - 8}">{size}</text>'


def _log_ticks(low: float, high: float) -> Iterator[float]:
    """Yield powers of ten, or 1, 2, 5 of each where there are few powers, or few of many."""
    decades = high - low
    digits = (1.0,) if decades > 2.5 else (1.0, 2.0, 5.0)
    step = max(1, math.ceil(decades / 9))
    for power in range(math.floor(low), math.ceil(high) + 1):
        for digit in digits if power % step == 0 else ():
            if low <= math.log10(digit) + power <= high:
                yield digit * 10.0**power


def _ticks(first: int, last: int) -> Iterator[int]:
    """Yield some five to ten round numbers."""
    raw = (last - first) / 8
    power = 10 ** math.floor(math.log10(max(raw, 1)))
    step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= raw or digit == 10)
    yield from range(-(-first // step) * step, last + 1, step)


def _power(value: float) -> str:
    return (
        f"{value:g}"
        if 1e-3 <= value < 1e4
        else f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")
    )
