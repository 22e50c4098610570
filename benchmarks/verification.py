"""Print what first-use verification finds, by runtime, precision, lowering and layers.

    python benchmarks/verification.py
    python benchmarks/verification.py --lowerings nhwc nhwc-winograd

The layer sets are the default, and some with a content layer right before a pooling, where OpenVINO
2026.4 in bfloat16 was seen to lose the style's gradient.
"""

from __future__ import annotations

import argparse

from impasto.engine.backends import available_backends, open_backend, open_reference
from impasto.engine.network import network_for
from impasto.engine.options import Options
from impasto.engine.verify import verify
from impasto.models import load_model

LAYERS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (Options().content_layers, Options().style_layers),
    (("relu4_2",), ("relu1_1", "relu3_1")),
    (("relu2_2",), ("relu1_1", "relu3_1")),
    (("relu2_2",), ("relu3_1", "relu5_1")),
)


def main() -> None:
    """Compare every runtime and precision of this machine with the reference."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lowerings", nargs="+", metavar="NAME", help="default: each one's own")
    asked = parser.parse_args()
    model = load_model("vgg19")
    for content, style in LAYERS:
        print(f"content {','.join(content)}; style {','.join(style)}")
        network = network_for(model, Options(content_layers=content, style_layers=style))
        for info in available_backends():
            for precision in info.precisions:
                backend = open_backend(info.name, precision)
                for lowering in asked.lowerings or (backend.lowering,):
                    verdict = verify(backend, open_reference, network, lowering, (64, 96), None)
                    word = "passes" if verdict.passed else "FAILS"
                    print(f"  {info.name:12} {precision:5} {lowering:14} {word:7} {verdict}")


if __name__ == "__main__":
    main()
