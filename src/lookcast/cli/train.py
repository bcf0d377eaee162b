"""The command `lookcast train`, which passes its arguments to Hydra, including `--help`, `-m` and `--cfg`."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from omegaconf import DictConfig


def train(argv: list[str]) -> int:
    """Run `lookcast train`.

    Lightning is imported only when a run begins: `--help`, `--cfg` and invalid overrides do not need Lightning.

    Raises:
        InputError: a key is unknown, an override is invalid, or `training.run.train` refuses the config.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from lookcast.checks import InputError
    from lookcast.paths import shipped
    from lookcast.training.hydra_errors import one_line, refused_elsewhere
    from lookcast.training.launchers import check_ranks

    check_ranks(os.environ)
    # Hydra reads arguments from sys.argv. Lightning runs sys.argv to start the other processes, so its first entry is
    # this file. With a module spec, as after `python -m lookcast.cli`, Lightning would run that module instead, and the
    # module would miss the argument `train`. So remove the spec.
    sys.argv = [__file__]
    sys.modules["__main__"].__spec__ = None
    sys.argv += _arguments(argv)
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # Hydra raises exceptions; by default, it prints a page and exits
    os.environ.setdefault("SUBMITIT_PREEMPT_SIGNAL", "USR1")  # a run handles USR1; the default of submitit is USR2
    refused: list[Exception] = []
    running, here = False, (os.uname().nodename, os.getpid())

    def job(cfg: "DictConfig") -> float:
        """Train one run, and return the metric that a sweeper minimises."""
        nonlocal running
        running, score = True, float("inf")
        from pytorch_lightning.utilities import rank_zero_only

        from lookcast.training.log_filters import quieten
        from lookcast.training.preemption import Preempted, leave
        from lookcast.training.run import train as run_training
        from lookcast.training.summary import print_summary

        quieten()
        try:
            result = run_training(cfg)
        except (InputError, HydraException, OmegaConfBaseException) as error:
            if (os.uname().nodename, os.getpid()) != here:
                raise  # this is a submitit job: another process, which returns the exception and can't fill `refused`
            refused.append(error)  # a sweep continues with the next run
        except Preempted as stop:
            # Print the message, which names the checkpoint, before `leave`, which fails if the job can't be requeued.
            rank_zero_only(print)(f"lookcast: {stop}", file=sys.stderr)
            raise SystemExit(leave(stop)) from stop  # ends the whole sweep
        else:
            print_summary(result)
            score = result.metrics["val/style_distance"]
        running = False
        return score

    try:
        with _hydra_help():
            hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="train")(job)()
    except Exception as error:
        elsewhere = refused_elsewhere(error)
        # Before a run, these errors come from an override or from a folder that can't be made. Other errors are bugs.
        known = not running and isinstance(error, (HydraException, OmegaConfBaseException, OSError, ValueError))
        if elsewhere is None and not known:
            raise
        refused.insert(0, elsewhere or error)
    if refused:
        if isinstance(refused[0], InputError):
            raise refused[0]
        raise InputError(one_line(refused[0], [word for word in argv if not word.startswith("-")]))
    return 0


def _arguments(argv: list[str]) -> list[str]:
    """Return the arguments for Hydra: first the overrides, then the flags.

    The flags come last, because Hydra's parser accepts no override after a flag. The current names replace old names in
    the overrides, and `place_run` sets the run folder.

    Raises:
        InputError: Hydra does not know a flag, or an argument is no override, or names no key.
    """
    from hydra._internal.utils import get_args_parser

    from lookcast.checks import InputError
    from lookcast.training.hydra_errors import key_of
    from lookcast.training.renamed import rename_override
    from lookcast.training.run_folder import place_run

    given = [word for word in argv if not word.startswith("-") and ("=" in word or word.startswith("~"))]
    overrides = [rename_override(word) for word in given]
    for before, after in zip(given, overrides, strict=True):
        if before != after:
            print(f"lookcast: {before} is now {after}", file=sys.stderr)
    arguments = [*place_run(overrides, os.environ), *(word for word in argv if word not in given)]
    with _hydra_help():
        parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign]  # argparse would also print the usage
    for word in parser.parse_args(arguments).overrides:
        if not key_of(word) or ("=" not in word and not word.startswith("~")):
            raise InputError(f"{word}: expected KEY=VALUE; see lookcast train --help")
    return arguments


@contextmanager
def _hydra_help() -> Iterator[None]:
    """Let Hydra make its parser on Python 3.14, whose argparse refuses help that is no string.

    The help of Hydra's `--shell-completion` is no string, at least up to Hydra 1.3.8:
    https://github.com/facebookresearch/hydra/issues/3121.
    """
    argparse.ArgumentParser._check_help = lambda *_: None  # type: ignore[attr-defined]  # hides the inherited method
    try:
        yield
    finally:
        del argparse.ArgumentParser._check_help  # type: ignore[attr-defined]


def _refuse(message: str) -> NoReturn:
    from lookcast.checks import InputError

    raise InputError(f"train: {message}; see lookcast train --help")


if __name__ == "__main__":
    sys.exit(train(sys.argv[1:]))
