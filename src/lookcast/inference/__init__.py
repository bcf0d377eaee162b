"""Stylization of photos with a checkpoint. This package imports no training code."""

# Before torch: torch hides a Ctrl-C that arrives while it imports numpy, and goes on with half of numpy.
import numpy  # noqa: F401
