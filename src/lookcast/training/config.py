"""Check of a config before the run reads, builds or writes anything."""

import os
from collections.abc import Mapping
from typing import Annotated, Any, get_type_hints

import torch
from pydantic import Field

from lookcast.checks import InputError
from lookcast.data.sources.folder import MIN_SIDE
from lookcast.data.sources.samples import PREFIX
from lookcast.paths import check_file
from lookcast.training.arguments import check_arguments, check_values

Text = Annotated[str, Field(min_length=1)]
"""Text that is not empty. An unset shell variable in a command would give an empty text."""
Count = Annotated[int, Field(ge=1)]


class RunSettings:
    """The settings at the top level of `conf/train.yaml`."""

    style: Text | Annotated[list[Text], Field(min_length=1)]
    style_mask: Text | None
    style_size: Annotated[int, Field(ge=MIN_SIDE)]
    seed: Annotated[int, Field(ge=0, lt=2**32)]  # the range of seeds in numpy, which Lightning seeds too
    init_from: Text | None
    resume: Text | None
    compile: bool
    channels_last: bool
    licence: str
    name: Text
    run_dir: Text


class TrainerSettings:
    """Ranges of the arguments of `pytorch_lightning.Trainer`. Lightning checks these ranges late or not at all."""

    max_steps: Annotated[int, Field(ge=-1)]
    num_nodes: Count
    accumulate_grad_batches: Count
    log_every_n_steps: Annotated[int, Field(ge=0)]
    val_check_interval: Count | Annotated[float, Field(gt=0, le=1)] | None
    gradient_clip_val: Annotated[float, Field(ge=0)] | None


def check_config(config: Mapping[str, Any]) -> None:
    """Check all values of a config, the files that it names, and the accelerator.

    Args:
        config: plain values, with interpolations resolved.

    Raises:
        InputError: training can't run with a value; the message is one line that states the key and the reason.
    """
    wrong = list(check_values(config, get_type_hints(RunSettings, include_extras=True)))
    trainer = get_type_hints(TrainerSettings, include_extras=True)
    wrong += [f"trainer.{line}" for line in check_values(config["trainer"], trainer)]
    if wrong:
        raise InputError("; ".join(wrong))
    check_arguments(config)
    _check_pairs(config)
    _check_files(config)
    _check_accelerator(config["trainer"]["accelerator"])


def _check_pairs(config: Mapping[str, Any]) -> None:
    """Check settings that depend on each other."""
    data, masks, style_mask = config["data"], config["data"]["masks"], config["style_mask"]
    if ("styles" in data) != ("pseudo_masks" in config["module"]):
        raise InputError("module=universal and data=pairs: give both or neither; data=pairs has its own style photos")
    if "styles" in data:
        for key, value in (("data.masks", masks), ("style_mask", style_mask)):
            if value is not None:
                raise InputError(
                    f"{key}: got {value!r}, but data=pairs takes no masks: module.pseudo_masks finds the regions"
                )
        if data["styles"] != config["style"]:
            named = f"{config['style']!r} and {data['styles']!r}"
            raise InputError(f"style and data.styles: expected the same photos, got {named}")
    elif (style_mask is None) != (masks is None):
        raise InputError("style_mask and data.masks: give both or neither; the loss compares the regions of both")


def _check_files(config: Mapping[str, Any]) -> None:
    """Check that each file in the config is a regular file, because reading from a pipe could block for ever."""
    style, init_from = config["style"], config["init_from"]
    named = [("style_mask", config["style_mask"], "mask")]
    if "styles" not in config["data"] and not str(style).startswith(PREFIX) and not _is_folder(style):
        named.append(("style", style, "photo"))
    if init_from is not None and os.path.lexists(init_from):  # otherwise `init_from` names a shipped checkpoint
        named.append(("init_from", init_from, "checkpoint"))
    if config["resume"] != "auto":
        named.append(("resume", config["resume"], "checkpoint"))
    for key, path, what in named:
        if path is not None:
            try:
                check_file(path, what)
            except InputError as error:
                raise InputError(f"{key}: {error}") from error


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (`Path.is_dir` raises for names that are too long)


def _check_accelerator(accelerator: str) -> None:
    if accelerator in ("gpu", "cuda") and not torch.cuda.is_available():
        raise InputError(f"trainer.accelerator: got {accelerator!r}, but torch finds no GPU; say trainer=cpu")
