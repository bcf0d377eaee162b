"""Stylizing photos with a checkpoint; imports nothing of training."""
