"""Stylization of photos with a checkpoint. This package imports no training code."""
