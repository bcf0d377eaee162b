"""Metrics: pure functions that compare an output with the content, the style or the truth."""
