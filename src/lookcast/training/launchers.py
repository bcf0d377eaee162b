"""The environment that launchers (SLURM, torchrun) set: ranks of processes, numbers of jobs."""

import subprocess
from collections.abc import Mapping

from lookcast.checks import InputError

_NUMBERS = (
    "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE",
    "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS", "JSM_NAMESPACE_RANK",
)  # fmt: skip
"""The variables that Lightning and torch read as integers."""
_INTERACTIVE = ("bash", "interactive")
"""Names of SLURM jobs that are a shell, in which one run follows another. Lightning knows them by these names too."""


def check_ranks(environment: Mapping[str, str]) -> None:
    """Refuse ranks and numbers of processes that are no integers; Lightning reads them when it is imported.

    Raises:
        InputError: names the variable and its value.
    """
    for name in _NUMBERS:
        value = environment.get(name, "0")
        if not value.isascii() or not value.isdigit():
            raise InputError(f"{name}: expected an integer of at least 0 in the environment, got {value!r}")


def slurm_job(environment: Mapping[str, str]) -> str | None:
    """Return the number of the SLURM job, `ARRAY_TASK` in a job array; None outside of SLURM."""
    if "SLURM_ARRAY_JOB_ID" in environment and "SLURM_ARRAY_TASK_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment.get("SLURM_JOB_ID")


def slurm_step(environment: Mapping[str, str]) -> str | None:
    """Return the SLURM job and its step, as `squeue` writes them; the job alone for the first step.

    None outside of SLURM and in an interactive job.
    """
    job = slurm_job(environment)
    if job is None or environment.get("SLURM_JOB_NAME") in _INTERACTIVE:
        return None
    step = environment.get("SLURM_STEP_ID", "0")  # missing in a batch script without srun
    return job if step == "0" else f"{job}.{step}"


def was_requeued(environment: Mapping[str, str]) -> bool:
    """Return whether SLURM has started this job before."""
    return environment.get("SLURM_RESTART_COUNT", "0") != "0"


def requeue(job: str) -> None:
    """Put a SLURM job back into the queue.

    Raises:
        InputError: SLURM refuses it.
    """
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except OSError as error:
        raise InputError(f"scontrol requeue {job}: {error.strerror}; submit the job again, the run resumes") from error
    if done.returncode != 0:
        raise InputError(f"scontrol requeue {job}: {done.stderr.strip()}; submit the job again, the run resumes")
