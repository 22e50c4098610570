"""The curves are well-formed, inside their frame, and in the order of their numbers."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from impasto.engine.loss_chart import HEIGHT, WIDTH, loss_chart, term_classes
from impasto.engine.trace import TracePoint


def point(iteration: int, loss: float, scale: int = 1, **losses: float) -> TracePoint:
    return TracePoint(iteration, scale, 64 * scale, 48 * scale, iteration, loss, losses, 1.0)


def places(svg: str) -> dict[str, list[tuple[float, float]]]:
    """Return the places of every curve, by its title."""
    found = {}
    for group in ElementTree.fromstring(svg).iter("g"):
        text = " ".join(line.get("points", "") for line in group.iter("polyline"))
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", text)]
        found[group.findtext("title", "")] = list(zip(numbers[::2], numbers[1::2], strict=True))
    return found


@given(
    st.lists(
        st.tuples(st.floats(1e-30, 1e30), st.floats(0, 1e30) | st.just(math.inf)),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_the_numbers_all_is_inside_the_frame(values: list[tuple[float, float]]) -> None:
    svg = loss_chart([point(i, total, tv_loss=tv) for i, (total, tv) in enumerate(values, 1)])
    assert "nan" not in svg
    assert "inf" not in svg
    for curve in places(svg).values():
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in curve)


def test_a_smaller_loss_is_lower_by_its_logarithm() -> None:
    svg = loss_chart([point(1, 1000.0), point(2, 100.0), point(3, 10.0)])
    (_, first), (_, second), (_, third) = places(svg)["total loss"]
    assert first < second < third
    assert abs((second - first) - (third - second)) < 0.2


def test_scales_are_marked_with_their_size_and_not_joined() -> None:
    one = [point(i, 5.0 / i) for i in (1, 2, 3)]
    two = [point(i, 5.0 / i, scale=2) for i in (4, 5, 6)]
    svg = loss_chart([*one, *two])
    assert len(re.findall('class="scale"', svg)) == 2
    assert "64×48" in svg  # noqa: RUF001
    assert "128×96" in svg  # noqa: RUF001
    assert svg.count("<polyline") == 2
    assert 'class="scale"' not in loss_chart(one)


def test_a_term_that_is_zero_throughout_has_no_line() -> None:
    svg = loss_chart([point(1, 2.0, tv_loss=0.0), point(2, 1.0, tv_loss=0.0)])
    assert list(places(svg)) == ["total loss"]


def test_a_first_content_loss_of_next_to_nothing_does_not_stretch_the_axis() -> None:
    steps = [point(1, 100.0, content=1e-9)]
    steps += [point(i, 100.0 / i, content=5.0) for i in range(2, 9)]
    ys = [y for _, y in places(loss_chart(steps))["total loss"]]
    assert max(ys) - min(ys) > HEIGHT / 4


def test_one_step_is_a_dot() -> None:
    assert "<circle" in loss_chart([point(1, 3.0)])


def test_names_are_escaped() -> None:
    name = "style_loss.<script>alert(1)</script>"
    svg = loss_chart([point(n, 2.0 / n, 1, **{name: 1.0 / n}) for n in (1, 2)])
    assert "<script" not in svg
    assert name in places(svg)


def test_style_layers_have_colours_of_their_own() -> None:
    names = [f"style_loss.relu{n}_1" for n in range(1, 6)]
    classes = term_classes(["content_loss.relu4_2", *names, "tv_loss", "odd"])
    assert len(set(classes.values())) == 8
    assert classes["tv_loss"] == "tv"
