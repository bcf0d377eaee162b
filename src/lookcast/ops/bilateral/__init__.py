"""Implementations of bilateral grids for all devices: slicing, and application of the sliced transforms."""
