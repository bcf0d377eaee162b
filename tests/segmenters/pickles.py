"""Weights files that run code when they are unpickled."""

import os
from pathlib import Path

import torch


class _Touch:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def save_code(path: Path, made: Path) -> Path:
    """Save a file that creates the folder `made` when it is unpickled."""
    torch.save({"weight": torch.zeros(1), "code": _Touch(made)}, path)
    return path
