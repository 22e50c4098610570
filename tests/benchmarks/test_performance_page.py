"""The performance page says what the committed results say, and charts show what they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import performance_figures
import pytest
from performance_charts import evaluation_chart, loss_chart, roofline_chart
from performance_tables import (
    agreement_line,
    bench_tables,
    history_table,
    memory_table,
    peers_table,
    remembered_table,
    roofline_table,
    starts_table,
    startup_table,
    time_to_loss_table,
)

SVG = "{http://www.w3.org/2000/svg}"

MACHINE = {
    "processor": "Example",
    "instruction_sets": ["avx2"],
    "cores": 2,
    "numpy": "2.0",
    "commit": "abc",
}


def evaluation(configuration: str, median: float, **more: Any) -> dict[str, Any]:
    return {
        "model": "vgg19",
        "size": 512,
        "configuration": configuration,
        "median_s": median,
        "seconds": [median / 2, median, 2 * median],
        "peak_rss_bytes": 900_000_000,
        "version": "torch 2.9" if configuration.startswith("torch") else "runtime",
        **more,
    }


PEERS: dict[str, Any] = {
    "machine": MACHINE,
    "rows": [
        evaluation("openvino-bf16", 0.5, loss_error=0.002, typical_error=0.03, cosine=0.996),
        evaluation("torch-f32", 3.0, loss_error=1e-5, typical_error=1e-6, cosine=1.0),
        evaluation("torch-bf16", 1.5),
    ],
}
ROOFLINE: dict[str, Any] = {
    "machine": MACHINE,
    "peaks": [
        {"work": work, "shape": "large", "configuration": name, "gflops": [rate, rate / 2]}
        for work in ("product", "convolution")
        for name, rate in (("onnxruntime-f32", 400.0), ("openvino-f32", 300.0))
    ],
    "evaluations": [evaluation("openvino-f32", 2.0, gflop=400.0)],
}
TIME_TO_LOSS: dict[str, Any] = {
    "machine": MACHINE,
    "pairs": [
        {
            "pair": ["photo", "painting"],
            "target_loss": 2e5,
            "torch": {
                "version": "torch 2.9",
                "evaluations": 500,
                "seconds": 900.0,
                "curve": [
                    {"seconds": 2.0, "f32_loss": 1e8},
                    {"seconds": 900.0, "f32_loss": 2e5},
                ],
            },
            "ours": {
                "backend": "openvino",
                "precision": "bf16",
                "reached": {"evaluations": 90, "seconds": 30.0},
                "curve": [
                    {"seconds": 3.0, "f32_loss": 5e7},
                    {"seconds": 30.0, "f32_loss": 2e5},
                ],
            },
        }
    ],
}


def cells(table: str, row: int) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[row].strip("|").split("|")]


def test_the_page_and_its_pictures_are_those_of_the_committed_results() -> None:
    outdated = [path.name for path in performance_figures.outdated()]
    assert not outdated, "run python benchmarks/performance_figures.py"


def test_every_committed_result_of_the_page_tells_its_machine() -> None:
    for figure in performance_figures.FIGURES:
        result = performance_figures.read(figure.result)
        if result is not None:
            assert {"processor", "cores"} <= set(result["machine"])
            # What comes of an installed command has the version alone.
            assert {"commit", "impasto"} & set(result["machine"])


def test_blocks_are_replaced_between_their_markers_only() -> None:
    page = "a\n<!-- begin: x -->\nold\n<!-- end: x -->\nb\n"
    assert performance_figures.with_blocks(page, {"x": "new"}) == (
        "a\n<!-- begin: x -->\nnew\n<!-- end: x -->\nb\n"
    )


@pytest.mark.parametrize("page", ["", "<!-- begin: x -->", "<!-- begin: x --><!-- end: x -->" * 2])
def test_a_page_without_one_pair_of_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="begin: x"):
        performance_figures.with_blocks(page, {"x": "new"})


def test_a_block_names_command_machine_and_versions() -> None:
    block = performance_figures.FIGURES[0].block(PEERS)
    for told in ("benchmarks/peers.py", "2 cores of an Example", "torch 2.9", "commit abc"):
        assert told in block
    assert performance_figures.FIGURES[0].command in performance_figures.FIGURES[0].block(None)


def test_ratios_are_of_medians_of_the_same_network_and_size() -> None:
    other = {**evaluation("torch-f32", 100.0), "size": 256}
    table = peers_table({**PEERS, "rows": [*PEERS["rows"], other]})
    assert cells(table, 0)[5:7] == ["vs f32", "vs bf16"]
    assert cells(table, 2)[1] == "256x256"
    assert cells(table, 3)[2:7] == ["PyTorch f32", "3.000", "1.500 - 6.000", "1.00", "0.50"]
    assert cells(table, 5)[2:] == ["OpenVINO bf16", "0.500", "0.250 - 1.000", "6.00", "3.00", "900"]


def timing(median: float) -> dict[str, float]:
    return {"median": median, "min": median / 2, "max": 2 * median}


def test_an_optimizer_s_own_time_is_a_share_of_each_evaluation() -> None:
    evaluations = [
        {
            "backend": "openvino",
            "precision": precision,
            **dict.fromkeys(("targets", "compile"), timing(1.0)),
            "evaluation": timing(seconds),
        }
        for precision, seconds in (("bf16", 0.2), ("f32", 0.8))
    ]
    optimizers = [{"optimizer": "adam", "own": timing(0.004)}]
    timed, own = bench_tables({"evaluations": evaluations, "optimizers": optimizers}).split("\n\n")
    assert cells(timed, 2) == ["OpenVINO f32", "1.000", "1.000", "0.800", "0.400 - 1.600"]
    assert cells(own, 0)[3:] == ["of OpenVINO f32", "of OpenVINO bf16"]
    assert cells(own, 2) == ["`adam`", "4.0", "2.0 - 8.0", "0.5%", "2.0%"]


def test_peaks_are_those_of_whole_pictures_of_512_pixels() -> None:
    def case(*arguments: str) -> dict[str, Any]:
        found = {"backend": "openvino", "precision": "bf16", "arguments": arguments}
        return {**found, "measured_bytes": 337_400_000, "second_run_bytes": 330_000_000}

    cases = [
        case("--preset", "nin", "--size", "512"),
        case("--size", "512"),
        case("--size", "1024"),
    ]
    table = memory_table({"cases": cases})
    assert cells(table, 2)[:2] == ["VGG-19", "OpenVINO bf16"]
    assert cells(table, 3) == ["NIN", "OpenVINO bf16", "337", "330"]
    assert len(table.splitlines()) == 4


def test_a_history_that_does_not_get_there_has_no_median() -> None:
    def run(history: int, *evaluations: int | None) -> dict[str, Any]:
        seconds = [count and 0.25 * (count - 1) for count in evaluations]
        return {"size": 512, "history": history, "evaluations": evaluations, "seconds": seconds}

    runs = [run(10, 2, 4), run(10, 4, 4), run(20, 2, 3), run(20, 2, None)]
    table = history_table({"marks": [3, 4], "runs": runs})
    assert cells(table, 2) == ["512", "10", "3 (0.5 s)", "4 (0.8 s)"]
    assert cells(table, 3) == ["512", "20", "2 (0.2 s)", "inf (inf s)"]


def test_starts_are_told_with_the_least_and_the_most() -> None:
    runs = [
        {"size": 256, "pair": pair, "start": start, "evaluations": counts, "last": last}
        for pair, start, counts, last in (
            ("a", "content", [50, 100], 1.0),
            ("b", "content", [50, 100], 1.0),
            ("a", "recolored", [30, None], 1.01),
            ("b", "recolored", [49, 90], 0.95),
        )
    ]
    table = starts_table({"marks": [50, 100], "iterations": 200, "runs": runs})
    assert "| 256 | content | 50 (50 - 50) | 100 (100 - 100) | 1.000 (1.000 - 1.000) |" in table
    assert "| 256 | recolored | 39.5 (30 - 49) | inf (90 - inf) | 0.980 (0.950 - 1.010) |" in table


def test_what_is_remembered_is_told_by_its_share() -> None:
    def run(limit: float, last: float, *evaluations: int | None) -> dict[str, Any]:
        told = {"limits": [limit, 0.5], "share": 0.25 + limit / 4, "last": last}
        return {**told, "evaluations": evaluations}

    runs = [run(1, 1, 50, 100), run(1, 1, 50, 100), run(0.5, 1.1, 51, 99), run(0.5, 1.2, 53, None)]
    table = remembered_table({"marks": [50, 100], "iterations": 200, "runs": runs})
    assert cells(table, 2) == ["1", "0.5", "50 %", "50", "100", "1.000"]
    assert cells(table, 3) == ["0.5", "0.5", "38 %", "52", "inf", "1.150"]


def test_agreement_is_told_by_precision_and_only_where_it_is_known() -> None:
    line = agreement_line(PEERS)
    assert "in f32 the losses are within 1e-05" in line
    assert "cosines at least 0.99600" in line
    assert agreement_line({"rows": [evaluation("torch-f32", 1.0)]}) == ""


def test_achieved_rates_are_shares_of_the_best_peak_of_their_precision() -> None:
    peaks, shares = roofline_table(ROOFLINE).split("\n\n")
    assert cells(peaks, 2)[-1] == "400"
    assert cells(shares, 2)[3:] == ["400", "2.000", "200", "50%", "50%"]


def test_time_to_loss_is_the_ratio_of_the_seconds() -> None:
    table = time_to_loss_table(TIME_TO_LOSS)
    assert cells(table, 2)[-3:] == ["90", "30.0", "30.0"]
    (pair,) = TIME_TO_LOSS["pairs"]
    missed = {**pair, "ours": {**pair["ours"], "reached": None}}
    assert cells(time_to_loss_table({"pairs": [missed]}), 2)[5] == "not reached"


def test_starts_are_told_in_their_order_with_median_and_range() -> None:
    seconds = {"median_s": 2.0, "seconds": [3.0, 2.0, 1.5]}
    second = {"what": "second run", "configuration": "openvino-bf16", "size": 512, **seconds}
    bare = {"what": "interpreter", "configuration": "", "size": None, **seconds}
    table = startup_table({"rows": [second, bare]})
    assert cells(table, 2) == ["a bare interpreter", "", "", "2.00", "1.50 - 3.00"]
    assert cells(table, 3)[1:3] == ["OpenVINO bf16", "512"]


def test_charts_are_drawings_with_a_bar_or_a_line_for_every_figure() -> None:
    bars = ElementTree.fromstring(evaluation_chart(PEERS))
    background, legend = 1, 3
    assert len(bars.findall(f"{SVG}rect")) == background + legend + len(PEERS["rows"])
    shares = ElementTree.fromstring(roofline_chart(ROOFLINE))
    assert [rect.get("width") for rect in shares.findall(f"{SVG}rect")[1:]] == ["480.0", "240.0"]
    assert len(ElementTree.fromstring(loss_chart(TIME_TO_LOSS)).findall(f"{SVG}polyline")) == 2


def test_the_scripts_are_in_the_list_of_benchmarks() -> None:
    folder = Path(performance_figures.__file__).parent
    listed = (folder / "README.md").read_text("utf-8")
    runnable = [path.name for path in folder.glob("*.py") if "__main__" in path.read_text("utf-8")]
    assert not [name for name in runnable if f"`{name}`" not in listed]
