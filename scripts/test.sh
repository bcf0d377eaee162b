#!/usr/bin/env bash
# Set everything up, then lint, type-check and test. Arguments go to pytest: scripts/test.sh -k gram
# scripts/test.sh -m nightly runs the tests that take minutes: compiled networks, sweeps, torchrun, killed processes.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh dev
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
# Run two test files at a time, because many tests wait for processes that they have started. Give each one thread:
# parallel code compiled by numba, which the reference of one test uses, would otherwise set the threads of its process.
OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 "$venv/bin/python" -m pytest -n 2 --dist loadfile "$@"
