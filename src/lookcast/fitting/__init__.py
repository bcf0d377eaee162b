"""Optimisation of a look for one pair of photos, as in Deep Photo Style Transfer."""
