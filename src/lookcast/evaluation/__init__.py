"""Evaluation: figures and a report for the outputs of a checkpoint, or for ready-made images, on folders of pairs."""
