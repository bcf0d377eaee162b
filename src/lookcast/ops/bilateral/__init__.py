"""Bilateral grids: slicing, and applying what was sliced, on every device."""
