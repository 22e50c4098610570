"""Differentiate ONNX graphs: feature graphs and gradient graphs of standard ONNX ops.

This is the part of Impasto that is new: reverse-mode differentiation from ONNX to ONNX.
`backward` holds the algorithm, `vjp` one rule per op, `losses` the objective's terms, `lowerings`
what each runtime runs fastest, `gradient` the two graphs that are exported. It imports neither
models nor engine.
"""
