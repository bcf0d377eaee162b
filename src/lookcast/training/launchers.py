"""Environment variables that launchers (SLURM, torchrun) set: ranks of processes, and ids of jobs."""

import subprocess
from collections.abc import Mapping

from lookcast.checks import InputError

_NUMBERS = (
    "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE",
    "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_NTASKS", "JSM_NAMESPACE_RANK",
)  # fmt: skip
"""Environment variables that Lightning and torch read as integers."""
_INTERACTIVE = ("bash", "interactive")
"""Names of interactive SLURM jobs, in which a user starts runs from a shell. Lightning uses the same names."""


def check_ranks(environment: Mapping[str, str]) -> None:
    """Check that the environment variables for ranks and process counts (`_NUMBERS`) are integers of at least 0.

    Lightning reads these variables on import, so call this function before the import of Lightning.

    Raises:
        InputError: a variable has another value; the message names the variable and its value.
    """
    for name in _NUMBERS:
        value = environment.get(name, "0")
        if not value.isascii() or not value.isdigit():
            raise InputError(f"{name}: expected an integer of at least 0 in the environment, got {value!r}")


def slurm_job(environment: Mapping[str, str]) -> str | None:
    """Return the id of the SLURM job, or `ARRAYID_TASKID` in a job array; None outside of SLURM."""
    if "SLURM_ARRAY_JOB_ID" in environment and "SLURM_ARRAY_TASK_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment.get("SLURM_JOB_ID")


def slurm_step(environment: Mapping[str, str]) -> str | None:
    """Return the id of the SLURM job step: `JOB.STEP`, or only `JOB` for the first job step.

    `squeue` shows the same ids. Return None outside of SLURM and in an interactive job.
    """
    job = slurm_job(environment)
    if job is None or environment.get("SLURM_JOB_NAME") in _INTERACTIVE:
        return None
    step = environment.get("SLURM_STEP_ID", "0")  # the variable is missing in a batch script without srun
    return job if step == "0" else f"{job}.{step}"


def was_requeued(environment: Mapping[str, str]) -> bool:
    """Return whether SLURM has requeued and restarted this job."""
    return environment.get("SLURM_RESTART_COUNT", "0") != "0"


def requeue(job: str) -> None:
    """Put a SLURM job back into the queue.

    Raises:
        InputError: `scontrol` is missing, or SLURM refuses to requeue the job.
    """
    try:
        done = subprocess.run(["scontrol", "requeue", job], capture_output=True, text=True, check=False)
    except OSError as error:
        raise InputError(
            f"scontrol requeue {job} failed: {error.strerror}; to resume the run, submit the job again with the "
            "run_dir of this run"
        ) from error
    if done.returncode != 0:
        raise InputError(
            f"scontrol requeue {job} failed: {done.stderr.strip()}; to resume the run, submit the job again with the "
            "run_dir of this run"
        )
