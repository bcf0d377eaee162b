"""A substitute for the Trainer in tests of one callback."""

from types import SimpleNamespace


def trainer(**attributes):
    """Return an object with the attributes of a Trainer that callbacks read."""
    defaults = {
        "is_global_zero": True,
        "world_size": 1,
        "global_step": 0,
        "max_steps": 8,
        "sanity_checking": False,
        "callbacks": [],
        "log_every_n_steps": 1000,
    }
    return SimpleNamespace(**{**defaults, **attributes})
