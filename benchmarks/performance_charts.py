"""Charts of what the benchmarks have measured, as SVG text; of results as they are saved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from performance_tables import LABELS, MODELS, peak, precision_of

__all__ = ["evaluation_chart", "loss_chart", "roofline_chart"]

COLOURS = {
    "torch-f32": "#8d99ae",
    "torch-f32-nhwc": "#b8c0cf",
    "torch-bf16": "#6b4c8a",
    "torch-bf16-nhwc": "#a48bbd",
    "onnxruntime-f32": "#2a6f97",
    "openvino-f32": "#e09f3e",
    "openvino-bf16": "#c8553d",
}
BAR, HEIGHT, LEFT, TOP = 24, 180, 60, 40
PANEL, ACROSS = 260, 3


def evaluation_chart(result: dict[str, Any]) -> str:
    """Return bars of seconds a megapixel, a panel for each network, with the seconds written on."""
    svg: list[str] = []
    top, width = TOP, 0.0
    shown = [name for name in LABELS if any(r["configuration"] == name for r in result["rows"])]
    for model in dict.fromkeys(row["model"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["model"] == model]
        svg.append(_text(LEFT, top - 14, f"{MODELS[model]}: seconds a megapixel", bold=True))
        most = max(map(_per_megapixel, rows))
        svg += _level_lines(top, most, LEFT + 4 * (len(shown) + 2) * BAR)
        x = LEFT + BAR
        for size in sorted({row["size"] for row in rows}):
            here = {row["configuration"]: row for row in rows if row["size"] == size}
            middle = x + len(here) * BAR / 2
            for name in (name for name in shown if name in here):
                svg += _bar(x, top, _per_megapixel(here[name]) / most, COLOURS[name])
                label_y = top + HEIGHT * (1 - _per_megapixel(here[name]) / most) - 4
                svg.append(_text(x + BAR / 2, label_y, f"{here[name]['median_s']:.2g}", size=8))
                x += BAR
            svg.append(_text(middle, top + HEIGHT + 16, f"{size}x{size}"))
            x += 2 * BAR
        width = max(width, x)
        top += HEIGHT + 70
    for index, name in enumerate(shown):
        x, y = LEFT + index % 4 * 215, top - 30 + index // 4 * 18
        svg.append(f'<rect x="{x}" y="{y - 10}" width="12" height="12" fill="{COLOURS[name]}"/>')
        svg.append(_text(x + 18, y, LABELS[name], anchor="start"))
    note = "On the bars: seconds of one evaluation (loss and gradient), median."
    svg.append(_text(LEFT, top + 8 + (len(shown) - 1) // 4 * 18 - 10, note, anchor="start"))
    return _document(max(width, LEFT + 860), top + 36, svg)


def roofline_chart(result: dict[str, Any]) -> str:
    """Return bars of GFLOP/s, each within its precision's convolution peak."""
    rows = result["evaluations"]
    most = max(peak(result, "convolution", precision_of(row["configuration"])) for row in rows)
    left, width = 280, 480
    svg = [_text(left, 24, "GFLOP/s of an evaluation, and the convolution peak", bold=True)]
    for index, row in enumerate(rows):
        y = TOP + index * 22
        name = row["configuration"]
        highest = peak(result, "convolution", precision_of(name))
        rate = row["gflop"] / row["median_s"]
        label = f"{MODELS[row['model']]} {row['size']}, {LABELS[name]}"
        svg.append(_text(left - 8, y + 12, label, anchor="end"))
        for value, fill in ((highest, "#e8e8e8"), (rate, COLOURS[name])):
            length = width * value / most
            svg.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="16" fill="{fill}"/>')
        share = f"{rate:.0f} of {highest:.0f}: {rate / highest:.0%}"
        svg.append(_text(left + width * highest / most + 6, y + 12, share, anchor="start"))
    return _document(left + width + 150, TOP + len(rows) * 22 + 16, svg)


def loss_chart(result: dict[str, Any]) -> str:
    """Return the float32 loss over seconds, both axes logarithmic, a panel for each pair."""
    svg: list[str] = []
    for index, pair in enumerate(result["pairs"]):
        left = LEFT + index % ACROSS * (PANEL + 70)
        top = TOP + index // ACROSS * (HEIGHT + 70)
        svg += _loss_panel(left, top, pair)
    columns = min(ACROSS, len(result["pairs"]))
    bottom = TOP + math.ceil(len(result["pairs"]) / ACROSS) * (HEIGHT + 70)
    ours, theirs = COLOURS["openvino-bf16"], COLOURS["torch-f32"]
    svg.append(_text(LEFT, bottom - 14, "PyTorch f32 from noise", anchor="start", fill=theirs))
    svg.append(_text(LEFT + 170, bottom - 14, "Impasto's preset", anchor="start", fill=ours))
    note = "Across: seconds. Dashed: the loss to reach."
    svg.append(_text(LEFT, bottom + 4, note, anchor="start"))
    return _document(LEFT + columns * (PANEL + 70), bottom + 16, svg)


def _loss_panel(left: float, top: float, pair: dict[str, Any]) -> list[str]:
    lines = [
        (COLOURS["torch-f32"], pair["torch"]["curve"]),
        (COLOURS["openvino-bf16"], pair["ours"]["curve"]),
    ]
    points = [point for _, curve in lines for point in curve]
    low_x, high_x = _ends([point["seconds"] for point in points])
    low_y, high_y = _ends([point["f32_loss"] for point in points])

    def x_of(seconds: float) -> float:
        return left + PANEL * math.log(seconds / low_x) / math.log(high_x / low_x)

    def y_of(loss: float) -> float:
        return top + HEIGHT * (1 - math.log(loss / low_y) / math.log(high_y / low_y))

    svg = [
        _text(left, top - 10, " + ".join(pair["pair"]), bold=True),
        f'<rect x="{left}" y="{top}" width="{PANEL}" height="{HEIGHT}" fill="none" stroke="#999"/>',
    ]
    svg += [_text(x_of(x), top + HEIGHT + 15, f"{x:g}") for x in _decades(low_x, high_x)]
    svg += [
        _text(left - 5, y_of(y) + 4, f"{y:.0e}".replace("e+0", "e"), anchor="end")
        for y in _decades(low_y, high_y)
    ]
    target = y_of(pair["target_loss"])
    svg.append(
        f'<line x1="{left}" x2="{left + PANEL}" y1="{target:.1f}" y2="{target:.1f}" '
        'stroke="#555" stroke-dasharray="4 3"/>'
    )
    for colour, curve in lines:
        path = " ".join(f"{x_of(p['seconds']):.1f},{y_of(p['f32_loss']):.1f}" for p in curve)
        svg.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return svg


def _per_megapixel(row: dict[str, Any]) -> float:
    return float(row["median_s"] / (row["size"] ** 2 / 1e6))


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Return the powers of ten around `values`."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return float(10.0**low), float(10.0 ** max(high, low + 1))


def _decades(low: float, high: float) -> list[float]:
    return [10.0**n for n in range(round(math.log10(low)), round(math.log10(high)) + 1)]


def _level_lines(top: float, most: float, right: float) -> list[str]:
    step = 10.0 ** math.floor(math.log10(most))
    step *= next(m for m in (0.25, 0.5, 1, 2) if most / (m * step) <= 5)
    svg = []
    for n in range(math.floor(most / step) + 1):
        y = top + HEIGHT * (1 - n * step / most)
        svg.append(f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        svg.append(_text(LEFT - 6, y + 4, f"{n * step:g}", anchor="end"))
    return svg


def _bar(x: float, top: float, share: float, colour: str) -> list[str]:
    height = HEIGHT * share
    return [
        f'<rect x="{x + 1:.1f}" y="{top + HEIGHT - height:.1f}" width="{BAR - 2}" '
        f'height="{height:.1f}" fill="{colour}"/>'
    ]


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "",
    bold: bool = False,
    size: int = 0,
    fill: str = "",
) -> str:
    attributes = (
        f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor or ("start" if bold else "middle")}"'
    )
    attributes += ' font-weight="bold"' if bold else ""
    attributes += f' font-size="{size}"' if size else ""
    attributes += f' fill="{fill}"' if fill else ""
    return f"<text {attributes}>{escape(text)}</text>"


def _document(width: float, height: float, body: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        'font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(body) + "\n</svg>\n"
    )
