"""Fuzz the readers: `python -m tests.fuzz FOLDER [TARGET ...]`; see README.md."""

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lookcast"]):
    from tests.fuzz.targets import TARGETS, run

LIMITS = ("-timeout=30", "-rss_limit_mb=3000", "-max_len=65536", "-print_final_stats=1")
"""Limits of one input: seconds, MiB of memory of the process, bytes."""


def main() -> int:
    """Fuzz each target, and return 1 if an input has broken a reader."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("folder", type=Path, help="folder for the corpus, the logs and the inputs that break a reader")
    parser.add_argument("targets", nargs="*", default=list(TARGETS), help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=int, default=600, help="time for each target (default: 600)")
    args = parser.parse_args()
    logging.disable()  # the warnings about photos would take most of the time
    for name in args.targets:
        for kind in ("corpus", "broken"):
            (args.folder / kind / name).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as made:
            for number, seed in enumerate(TARGETS[name].seeds(Path(made))):
                (args.folder / "corpus" / name / f"seed-{number:02d}").write_bytes(seed)
        with tempfile.TemporaryDirectory() as scratch:
            run(name, seed, Path(scratch))  # compiles the kernels, which takes longer than the limit of an input
        end, rounds = time.monotonic() + args.seconds, 0
        while (left := round(end - time.monotonic())) > 0:  # libFuzzer ends at the first input that breaks a reader
            rounds += 1
            if os.fork() == 0:  # imports take seconds, and libFuzzer ends its process
                fuzz(name, args.folder, left, rounds)
            os.wait()
    return int(any((args.folder / "broken").glob("*/*")))


def fuzz(name: str, folder: Path, seconds: int, seed: int) -> None:
    """Run libFuzzer, which ends the process."""
    target, scratch = TARGETS[name], Path(tempfile.mkdtemp(prefix="lookcast-fuzz-"))

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        changed: bytes = atheris.Mutate(data, max_size)
        return target.repair(changed)[:max_size] if seed % 4 else changed

    with (folder / f"{name}.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    options = (f"-max_total_time={seconds}", f"-seed={seed}", f"-artifact_prefix={folder}/broken/{name}/")
    corpus = str(folder / "corpus" / name)
    atheris.Setup(
        [sys.argv[0], corpus, *LIMITS, *options], lambda data: run(name, data, scratch), custom_mutator=mutate
    )
    atheris.Fuzz()


sys.exit(main())
