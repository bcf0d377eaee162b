"""Slow, literal versions of the operators, written from the papers: loops in float64."""
