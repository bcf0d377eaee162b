"""`lookcast train`: Hydra's own command line, `--help`, `-m` and `--cfg` included."""

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from omegaconf import DictConfig


def train(argv: list[str]) -> int:
    """`lookcast train`.

    Lightning is imported when a run begins: help, a config that is shown and a wrong override need none of it.

    Raises:
        InputError: an unknown key, a bad override, or what `training.run.train` refuses.
    """
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from lookcast.checks import InputError
    from lookcast.paths import shipped
    from lookcast.training.refusals import one_line, refused_elsewhere
    from lookcast.training.run_folder import place_run

    # Hydra reads sys.argv; Lightning starts the other processes of a machine with it, so its first word is this file.
    # Flags go to the end: argparse, which Hydra uses, takes no override behind them.
    overrides = [word for word in argv if not word.startswith("-") and ("=" in word or word.startswith("~"))]
    sys.argv = [__file__, *place_run(overrides, os.environ), *(word for word in argv if word not in overrides)]
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # lets exceptions through to here instead of printing a page
    os.environ.setdefault("SUBMITIT_PREEMPT_SIGNAL", "USR1")  # what a run listens to; submitit would send USR2
    refused: list[Exception] = []
    running, here = False, (os.uname().nodename, os.getpid())

    def job(cfg: "DictConfig") -> float:
        """One run; gives a sweeper the figure to minimise."""
        nonlocal running
        running, score = True, float("inf")
        from pytorch_lightning.utilities import rank_zero_only

        from lookcast.training.preemption import Preempted, leave
        from lookcast.training.report import print_summary, quieten
        from lookcast.training.run import train as run_training

        quieten()
        try:
            result = run_training(cfg)
        except (InputError, HydraException, OmegaConfBaseException) as error:
            if (os.uname().nodename, os.getpid()) != here:
                raise  # a job of its own, by submitit: what is noted here does not come back from there
            refused.append(error)  # Hydra would print a page about it; a sweep goes on with its next job
        except Preempted as stop:
            code = leave(stop)
            rank_zero_only(print)(f"lookcast: {stop}", file=sys.stderr)
            raise SystemExit(code) from stop  # of the whole sweep
        else:
            print_summary(result)
            score = result.metrics["val/style_distance"]
        running = False
        return score

    try:
        hydra.main(version_base="1.3", config_path=str(shipped("conf")), config_name="train")(job)()
    except Exception as error:
        elsewhere = refused_elsewhere(error)
        # Outside of a job it is an override, or a folder that can't be made; everything else is a fault.
        known = not running and isinstance(error, (HydraException, OmegaConfBaseException, OSError, ValueError))
        if elsewhere is None and not known:
            raise
        refused.insert(0, elsewhere or error)
    if refused:
        raise refused[0] if isinstance(refused[0], InputError) else InputError(one_line(refused[0]))
    return 0


if __name__ == "__main__":
    sys.exit(train(sys.argv[1:]))
