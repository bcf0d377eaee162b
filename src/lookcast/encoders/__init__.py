"""Frozen perceptual networks whose features the losses compare."""
