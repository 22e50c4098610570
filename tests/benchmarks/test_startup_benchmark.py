"""The process whose start is timed stops after one evaluation, with its caches filled."""

from __future__ import annotations

from pathlib import Path

from startup import rows_of, seconds_to_first_evaluation


def test_a_process_ends_with_its_first_evaluation_and_leaves_its_caches(tmp_path: Path) -> None:
    seconds = seconds_to_first_evaluation("onnxruntime-f32", 48, tmp_path)
    assert seconds > 0
    kept = {path.parent.name for path in tmp_path.rglob("*") if path.is_file()}
    assert {"verdicts", "targets"} <= kept
    assert not list(tmp_path.glob("*.png"))


def test_rows_hold_every_round() -> None:
    rounds = [{("help", ""): each, ("second run", "openvino-f32"): 2 * each} for each in (1.0, 5.0)]
    helps, runs = rows_of(rounds, 512)
    assert helps["seconds"] == [1.0, 5.0]
    assert helps["median_s"] == 3.0
    assert helps["size"] is None
    assert (runs["what"], runs["configuration"], runs["size"]) == (
        "second run",
        "openvino-f32",
        512,
    )
