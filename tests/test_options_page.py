"""docs/options.md is what its script writes, and leaves no flag of neural-style out."""

from __future__ import annotations

import importlib.util
from dataclasses import fields
from pathlib import Path
from types import ModuleType

from impasto.engine.options import Options, flags

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "options.md"

# jcjohnson/neural-style's options, from its README.
REFERENCE = (
    "style_image style_blend_weights content_image image_size gpu multigpu_strategy content_weight "
    "style_weight tv_weight num_iterations normalize_gradients init init_image optimizer "
    "learning_rate lbfgs_num_correction print_iter save_iter output_image style_scale "
    "original_colors pooling proto_file model_file backend cudnn_autotune seed content_layers "
    "style_layers"
)


def script() -> ModuleType:
    path = ROOT / "scripts" / "options_table.py"
    spec = importlib.util.spec_from_file_location("options_table", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert script().filled(page) == page, "run python scripts/options_table.py"


def test_every_flag_is_on_the_page() -> None:
    page = PAGE.read_text()
    for item in fields(Options):
        for flag in flags(item.name):
            assert f"`{flag}`" in page


def test_every_option_of_the_reference_has_its_row() -> None:
    names = REFERENCE.split()
    assert len(names) == 29
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `-")]
    for name in names:
        assert any(f"-{name}" in row.split("|")[1] for row in rows), name
