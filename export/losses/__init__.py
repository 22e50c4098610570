"""Losses as graph fragments: each function adds nodes and returns a scalar value.

`content`, `style` and `total_variation` hold one loss each. Weights and targets are run-time
inputs, so that one graph serves every picture and every setting.
"""
