#!/usr/bin/env python3
"""Plant the faults of scripts/mutants.toml one by one, and check that the tests notice them.

    python scripts/mutation.py [--only TEXT]

The script changes a copy of the checkout, and runs the tests of the changed file there. It first runs the tests without
a fault. The script fails if the tests notice fewer than 90 % of the faults.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REQUIRED = 0.9
PASSED, FAILED = 0, 1
"""Exit codes of pytest; all others mean that the tests did not run."""


def copy_checkout(folder: Path) -> None:
    """Copy the files of this checkout that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def plant(source: str, line: str, fault: str) -> str:
    """Return a source text in which a line is replaced by its fault.

    Raises:
        ValueError: the line does not occur exactly once.
    """
    if source.count(line) != 1:
        raise ValueError(f"occurs {source.count(line)} times: {line}")
    return source.replace(line, fault)


def run_tests(folder: Path, tests: list[str]) -> tuple[int, str]:
    """Run tests of a copy until the first failure, and return pytest's exit code and output."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "src"), str(folder)])}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=line"]
    done = subprocess.run(
        [*command, *(f"tests/{test}" for test in tests)], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def main() -> None:
    """Print a line for each fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="TEXT", help="only the faults in files whose path contains TEXT")
    args = parser.parse_args()
    mutants = tomllib.loads((ROOT / "scripts" / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
    mutants = [mutant for mutant in mutants if args.only in mutant["file"]]
    caught = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_checkout(folder)
        code, output = run_tests(folder, sorted({test for mutant in mutants for test in mutant["tests"]}))
        if code != PASSED:
            sys.exit(f"{output}\nthe tests fail without a fault")
        for mutant in mutants:
            path = folder / "src" / "lookcast" / mutant["file"]
            source = path.read_text(encoding="utf-8")
            path.write_text(plant(source, mutant["line"], mutant["fault"]), encoding="utf-8")
            code, output = run_tests(folder, mutant["tests"])
            path.write_text(source, encoding="utf-8")
            if code not in (PASSED, FAILED):
                sys.exit(f"{output}\nthe tests did not run")
            caught += code == FAILED
            print(f"{'caught' if code == FAILED else 'SURVIVED'}  {mutant['file']}: {mutant['fault']}", flush=True)
    print(f"{caught} of {len(mutants)} faults caught")
    if caught < REQUIRED * len(mutants):
        sys.exit(1)


if __name__ == "__main__":
    main()
