#!/usr/bin/env bash
# Set everything up, then lint, type-check and test. Arguments go to pytest: scripts/test.sh -k gram
# scripts/test.sh -m nightly runs what takes minutes: compiled networks, sweeps, torchrun, killed processes.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh dev
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
# Two tests at a time, of one thread each: many wait for processes that they have started. Parallel code compiled by
# numba, which a test's reference brings, would otherwise set the threads of the whole process.
OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 "$venv/bin/python" -m pytest -n 2 --dist loadfile "$@"
