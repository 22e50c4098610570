"""Markdown tables of what the benchmarks have measured; of results as they are saved."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = [
    "LABELS",
    "MODELS",
    "agreement_line",
    "bench_tables",
    "coarse_to_fine_table",
    "history_table",
    "initial_scale_table",
    "memory_table",
    "own_time_table",
    "peak",
    "peers_table",
    "precision_of",
    "remembered_table",
    "roofline_table",
    "spinning_table",
    "starts_table",
    "startup_table",
    "time_to_loss_table",
]

MODELS = {"vgg19": "VGG-19", "nin": "NIN", "vgg16": "VGG-16"}

LABELS = {
    "torch-f32": "PyTorch f32",
    "torch-f32-nhwc": "PyTorch f32, channels last",
    "torch-bf16": "PyTorch bf16",
    "torch-bf16-nhwc": "PyTorch bf16, channels last",
    "onnxruntime-f32": "ONNX Runtime f32",
    "openvino-f32": "OpenVINO f32",
    "openvino-bf16": "OpenVINO bf16",
    "torch-f32-cuda": "PyTorch f32",
    "torch-f32-cuda-autotune": "PyTorch f32, autotuned",
    "torch-tf32-cuda-autotune": "PyTorch TF32, autotuned",
    "torch-bf16-nhwc-cuda-autotune": "PyTorch bf16, channels last, autotuned",
    "cuda-f32": "ONNX Runtime CUDA f32",
    "cuda-f32-autotune": "ONNX Runtime CUDA f32, autotuned",
}
"""Names for people by configuration, in the order they are shown."""

PEERS = [name for name in LABELS if name.startswith("torch")]
STARTS = {
    "interpreter": "a bare interpreter",
    "import": "`import impasto`",
    "help": "`impasto --help`",
    "first run": "first evaluation, first run",
    "second run": "first evaluation, second run",
}
WORK = {"product": "matrix product", "convolution": "3x3 convolution"}


def peers_table(result: dict[str, Any]) -> str:
    """Return the table of peers.py: by network and size, seconds, ratios and memory."""
    shown = [name for name in PEERS if any(r["configuration"] == name for r in result["rows"])]
    ratios = [f"vs {LABELS[name].removeprefix('PyTorch ')}" for name in shown]
    head = ["network", "pixels", "configuration", "seconds", "from - to", *ratios, "peak MB"]
    on_gpu = any(row.get("gpu_bytes") for row in result["rows"])
    if on_gpu:
        head += ["MB of the GPU"]
    digits = 4 if on_gpu else 3
    rows = []
    for row in _in_order(result["rows"]):
        same = [r for r in result["rows"] if _place(r) == _place(row)]
        medians = {r["configuration"]: r["median_s"] for r in same}
        rows.append(
            [
                MODELS[row["model"]],
                f"{row['size']}x{row['size']}",
                LABELS[row["configuration"]],
                f"{row['median_s']:.{digits}f}",
                f"{min(row['seconds']):.{digits}f} - {max(row['seconds']):.{digits}f}",
                *(_ratio(medians.get(name), row["median_s"]) for name in shown),
                f"{row['peak_rss_bytes'] / 1e6:.0f}",
                *([f"{row['gpu_bytes'] / 1e6:.0f}"] if on_gpu else []),
            ]
        )
    return _table(head, rows)


def agreement_line(result: dict[str, Any]) -> str:
    """Return in words how far the configurations' numbers are from each other."""
    told = []
    for precision in ("f32", "tf32", "bf16"):
        rows = [r for r in result["rows"] if precision_of(r["configuration"]) == precision]
        rows = [row for row in rows if "cosine" in row]
        if rows:
            told.append(
                f"in {precision} the losses are within {_worst(rows, 'loss_error')}, an entry of "
                f"the gradient typically within {_worst(rows, 'typical_error')}, the gradients' "
                f"cosines at least {min(row['cosine'] for row in rows):.5f}"
            )
    return f"Against ONNX Runtime f32: {'; '.join(told)}." if told else ""


def _worst(rows: Iterable[dict[str, Any]], key: str) -> str:
    return f"{max(row[key] for row in rows):.0e}"


def roofline_table(result: dict[str, Any]) -> str:
    """Return the tables of roofline.py: the peaks, and evaluations as shares of them."""
    peaks = [
        [
            WORK[row["work"]],
            row["shape"],
            LABELS.get(row["configuration"], "NumPy f32"),
            f"{max(row['gflops']):.0f}",
        ]
        for row in result["peaks"]
    ]
    shares = []
    for row in result["evaluations"]:
        precision = precision_of(row["configuration"])
        rate = row["gflop"] / row["median_s"]
        shares.append(
            [
                MODELS[row["model"]],
                f"{row['size']}x{row['size']}",
                LABELS[row["configuration"]],
                f"{row['gflop']:.0f}",
                f"{row['median_s']:.3f}",
                f"{rate:.0f}",
                *(f"{rate / peak(result, work, precision):.0%}" for work in WORK),
            ]
        )
    head = ["network", "pixels", "configuration", "GFLOP", "seconds", "GFLOP/s"]
    head += [f"of the best {name}" for name in WORK.values()]
    return _table(["work", "shape", "by", "GFLOP/s"], peaks) + "\n\n" + _table(head, shares)


def peak(result: dict[str, Any], work: str, precision: str) -> float:
    """Return the most GFLOP/s that any runtime reached at `work` in a precision."""
    return max(
        float(max(row["gflops"]))
        for row in result["peaks"]
        if row["work"] == work and precision_of(row["configuration"]) == precision
    )


def precision_of(configuration: str) -> str:
    """Return ``f32``, ``tf32`` or ``bf16`` of a configuration's name."""
    return configuration.split("-")[1]


def time_to_loss_table(result: dict[str, Any]) -> str:
    """Return the table of time_to_loss.py: a row for each pair, and the median ratio."""
    rows, ratios = [], []
    for pair in result["pairs"]:
        theirs, ours, reached = pair["torch"], pair["ours"], pair["ours"]["reached"]
        ratio = theirs["seconds"] / reached["seconds"] if reached else None
        ratios.append(ratio or 0.0)
        rows.append(
            [
                " + ".join(pair["pair"]),
                f"{pair['target_loss']:.3g}",
                f"{theirs['evaluations']}",
                f"{theirs['seconds']:.0f}",
                f"{ours['backend']} {ours['precision']}",
                f"{reached['evaluations']}" if reached else "not reached",
                f"{reached['seconds']:.1f}" if reached else "",
                f"{ratio:.1f}" if ratio else "",
            ]
        )
    rows.append(["median", *[""] * 6, f"{statistics.median(ratios):.1f}"])
    head = ["pair", "f32 loss", "PyTorch evaluations", "PyTorch s", "Impasto", "evaluations", "s"]
    return _table([*head, "times as fast"], rows)


def initial_scale_table(result: dict[str, Any]) -> str:
    """Return the table of initial_scale.py: medians over the pairs."""
    factors = dict.fromkeys(run["scale"] for run in result["runs"])
    rows = []
    for factor in factors:
        counts = [run["evaluations"] for run in result["runs"] if run["scale"] == factor]
        medians = [
            statistics.median(count or float("inf") for count in of_mark)
            for of_mark in zip(*counts, strict=True)
        ]
        rows.append([f"{factor:g}", *(f"{median:g}" for median in medians)])
    return _table(["factor", *(f"to the loss of {mark}" for mark in result["marks"])], rows)


def remembered_table(result: dict[str, Any]) -> str:
    """Return the table of remembered.py: medians over the pairs of pictures."""
    rows = []
    for limits in dict.fromkeys(tuple(run["limits"]) for run in result["runs"]):
        of_these = [run for run in result["runs"] if tuple(run["limits"]) == limits]
        counts = [
            statistics.median(float("inf") if each is None else each for each in of_mark)
            for of_mark in zip(*(run["evaluations"] for run in of_these), strict=True)
        ]
        last = statistics.median(run["last"] for run in of_these)
        share = f"{100 * of_these[0]['share']:.0f} %"
        rows.append(
            [*(f"{limit:g}" for limit in limits), share, *map("{:g}".format, counts), f"{last:.3f}"]
        )
    marks = (f"to the loss of {mark}" for mark in result["marks"])
    last = f"loss of {result['iterations']}"
    return _table(["brightness", "colours", "of all variables", *marks, last], rows)


def starts_table(result: dict[str, Any]) -> str:
    """Return the table of starts.py: medians over the pairs, and the least and the most."""

    def told(values: list[float], form: str) -> str:
        median, least, most = statistics.median(values), min(values), max(values)
        return f"{median:{form}} ({least:{form}} - {most:{form}})"

    rows = []
    for size, start in dict.fromkeys((run["size"], run["start"]) for run in result["runs"]):
        of_these = [r for r in result["runs"] if (r["size"], r["start"]) == (size, start)]
        counts = [
            # A run that does not get there has taken more than all others.
            told([float("inf") if each is None else each for each in of_mark], "g")
            for of_mark in zip(*(run["evaluations"] for run in of_these), strict=True)
        ]
        rows.append([str(size), start, *counts, told([run["last"] for run in of_these], ".3f")])
    marks = (f"to the loss of {mark}" for mark in result["marks"])
    return _table(["pixels", "start", *marks, f"loss of {result['iterations']}"], rows)


def coarse_to_fine_table(result: dict[str, Any]) -> str:
    """Return the table of coarse_to_fine.py: medians over the pairs, and the least and the most."""
    rows = []
    for size, iterations in dict.fromkeys((r["size"], r["iterations"]) for r in result["runs"]):
        these = [r for r in result["runs"] if (r["size"], r["iterations"]) == (size, iterations)]
        ratios = [run["of_single"] for run in these]
        told = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})"
        scales = f"{iterations} at {size // 2}, {iterations // 2} at {size}"
        rows.append([str(size), str(len(these)), scales, f"{these[0]['work']:g}", told])
    return _table(["pixels", "pairs", "iterations", "work", "loss, of one scale's"], rows)


def history_table(result: dict[str, Any]) -> str:
    """Return the table of history.py: medians over the pairs, and seconds beside evaluations."""
    rows = []
    for size, history in dict.fromkeys((run["size"], run["history"]) for run in result["runs"]):
        of_both = [r for r in result["runs"] if (r["size"], r["history"]) == (size, history)]
        medians = [
            [
                # A run that does not get there has taken more than all others.
                statistics.median(float("inf") if each is None else each for each in of_mark)
                for of_mark in zip(*(run[what] for run in of_both), strict=True)
            ]
            for what in ("evaluations", "seconds")
        ]
        cells = (f"{count:g} ({seconds:.1f} s)" for count, seconds in zip(*medians, strict=True))
        rows.append([str(size), str(history), *cells])
    return _table(["pixels", "pairs", *(f"to the loss of {m}" for m in result["marks"])], rows)


def own_time_table(result: dict[str, Any]) -> str:
    """Return the table of own_time.py: medians over the rounds."""
    rows = []
    for name in dict.fromkeys(run["optimizer"] for run in result["runs"]):
        of_these = [run for run in result["runs"] if run["optimizer"] == name]
        own, evaluation = (
            statistics.median(run[what] for run in of_these) for what in ("own", "evaluation")
        )
        told = [f"{1000 * own:.1f}", f"{1000 * evaluation:.0f}", f"{100 * own / evaluation:.1f}%"]
        rows.append([f"`{name}`", of_these[0]["ran_on"], *told])
    return _table(["optimizer", "ran on", "own ms", "evaluation, ms", "share"], rows)


def memory_table(result: dict[str, Any]) -> str:
    """Return the peaks of whole pictures of 512 pixels that footprint.py has measured."""
    rows = [
        [
            "NIN" if "nin" in case["arguments"] else "VGG-19",
            LABELS[f"{case['backend']}-{case['precision']}"],
            f"{case['measured_bytes'] / 1e6:.0f}",
            f"{case['second_run_bytes'] / 1e6:.0f}",
        ]
        for case in result["cases"]
        if "512" in case["arguments"]
    ]
    head = ["network", "configuration", "first run, MB", "second run, MB"]
    return _table(head, sorted(rows, key=lambda row: row[0], reverse=True))


def spinning_table(result: dict[str, Any]) -> str:
    """Return the table of spinning_threads.py."""
    rows = [
        [
            f"{row['size']}",
            row["after"],
            f"{row['products_ms']:.1f}",
            f"{row['transform_ms']:.1f}",
            f"{row['evaluation_ms']:.0f}",
        ]
        for row in result["rows"]
    ]
    return _table(["pixels", "after", "those, ms", "transform, ms", "evaluation, ms"], rows)


def startup_table(result: dict[str, Any]) -> str:
    """Return the table of startup.py: seconds from the start of a process."""
    rows = [
        [
            STARTS[row["what"]],
            LABELS[row["configuration"]] if row["configuration"] else "",
            f"{row['size']}" if row["size"] else "",
            f"{row['median_s']:.2f}",
            f"{min(row['seconds']):.2f} - {max(row['seconds']):.2f}",
        ]
        for row in sorted(result["rows"], key=lambda row: list(STARTS).index(row["what"]))
    ]
    return _table(["until", "configuration", "pixels", "seconds", "from - to"], rows)


def bench_tables(result: dict[str, Any]) -> str:
    """Return the tables of ``impasto bench --json``: an evaluation, and an optimizer's own time."""
    timings = {f"{row['backend']}-{row['precision']}": row for row in result["evaluations"]}
    names = [name for name in LABELS if name in timings]
    evaluations = [
        [
            LABELS[name],
            *(f"{timings[name][part]['median']:.3f}" for part in ("targets", "compile")),
            f"{timings[name]['evaluation']['median']:.3f}",
            _spread(timings[name]["evaluation"]),
        ]
        for name in names
    ]
    optimizers = [
        [
            f"`{row['optimizer']}`",
            f"{1000 * row['own']['median']:.1f}",
            _spread(row["own"], 1000, 1),
            *(
                f"{row['own']['median'] / timings[name]['evaluation']['median']:.1%}"
                for name in names
            ),
        ]
        for row in result["optimizers"]
    ]
    heads = [f"of {LABELS[name]}" for name in names]
    return "\n\n".join(
        [
            _table(["configuration", "targets", "compile", "evaluation", "from - to"], evaluations),
            _table(["optimizer", "own ms a step", "from - to", *heads], optimizers),
        ]
    )


def _spread(timing: dict[str, float], factor: float = 1.0, digits: int = 3) -> str:
    return f"{factor * timing['min']:.{digits}f} - {factor * timing['max']:.{digits}f}"


def _place(row: dict[str, Any]) -> tuple[str, int]:
    return row["model"], row["size"]


def _in_order(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    models, names = list(MODELS), list(LABELS)
    return sorted(
        rows,
        key=lambda r: (models.index(r["model"]), r["size"], names.index(r["configuration"])),
    )


def _ratio(theirs: float | None, ours: float) -> str:
    return "" if theirs is None else f"{theirs / ours:.2f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
