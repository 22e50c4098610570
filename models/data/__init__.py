"""Weights that are part of the package, with their licences beside them."""
