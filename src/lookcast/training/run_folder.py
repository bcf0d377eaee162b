"""Which folder a run goes into: the same one for all its processes, and each time that it starts again."""

from collections.abc import Mapping, Sequence

from lookcast.checks import InputError

_INTERACTIVE = ("bash", "interactive")
"""Names of SLURM jobs that are a shell, where one run follows another; Lightning tells them by these names too."""


def place_run(overrides: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Overrides that say where the run goes.

    `run_dir=FOLDER` becomes Hydra's own folder, or that of a sweep's runs (`FOLDER/0`, `FOLDER/1`, ...): Hydra's files
    lie with the others then. Without it the config takes the time of the start. The processes of a run need not agree
    on that, and a job that SLURM has requeued never does: in a SLURM job the folder is named after the job.

    Args:
        overrides: what the user says.
        environment: of the process.

    Returns:
        The overrides, `run_dir` replaced.

    Raises:
        InputError: torchrun has started several processes and nothing says where they meet.
    """
    placed = []
    for override in overrides:
        key, _, folder = override.partition("=")
        placed += [f"hydra.run.dir={folder}", f"hydra.sweep.dir={folder}"] if key == "run_dir" else [override]
    if any(override.startswith("hydra.run.dir=") for override in placed):
        return placed
    if job := _job(environment):
        return [*placed, f"hydra.run.dir=runs/${{name}}/slurm-{job}"]
    processes = environment.get("WORLD_SIZE", "1")
    if "TORCHELASTIC_RUN_ID" in environment and processes != "1":
        raise InputError(f"run_dir: torchrun started {processes} processes, which need one folder; say run_dir=FOLDER")
    return placed


def _job(environment: Mapping[str, str]) -> str | None:
    """The SLURM job as `squeue` writes it, with the step behind it where that is not the first; None outside of one."""
    job = environment.get("SLURM_JOB_ID")
    if job is None or environment.get("SLURM_JOB_NAME") in _INTERACTIVE:
        return None
    if "SLURM_ARRAY_JOB_ID" in environment:
        job = f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    step = environment.get("SLURM_STEP_ID", "0")  # missing in a batch script without srun
    return job if step == "0" else f"{job}.{step}"
