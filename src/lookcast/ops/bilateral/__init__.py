"""Bilateral grids: slicing, and application of the sliced transforms, on every device."""
