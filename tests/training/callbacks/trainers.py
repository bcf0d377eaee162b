"""A stand-in for the Trainer."""

from types import SimpleNamespace


def trainer(**attributes):
    """As much of a Trainer as a callback looks at."""
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
