"""VJP rules: one function per op, by kind. Importing this package fills `PORTABLE`.

A rule's docstring is its equation: x is the node's input, y its output, x̄ and ȳ their cotangents.
`broadcasting`, `sizes` and `window` hold what several rules share: the sum over broadcast axes,
sizes that are known or computed at run time, and the geometry of sliding windows.
"""

import impasto.export.vjp.activations
import impasto.export.vjp.convolution
import impasto.export.vjp.elementwise
import impasto.export.vjp.linear
import impasto.export.vjp.normalization
import impasto.export.vjp.pooling
import impasto.export.vjp.reductions
import impasto.export.vjp.resampling
import impasto.export.vjp.shaping
import impasto.export.vjp.stops  # noqa: F401  (each module registers its rules)
