"""Evaluation of a checkpoint, or of existing images, on a folder of photo pairs: metrics and a report."""
