"""Metrics: pure functions that compare an output with its content, its style or the truth."""
