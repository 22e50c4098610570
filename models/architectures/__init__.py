"""The networks, one file a family, as tables of layers without numbers."""
