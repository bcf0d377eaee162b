#!/usr/bin/env bash
# Set everything up, then run linter, type checker and tests. Arguments go to pytest: scripts/test.sh -k gram
# `scripts/test.sh -m nightly` runs the tests that take minutes: compiled networks, sweeps, torchrun, killed processes.
# `scripts/test.sh --processors [...]` runs the tests six times: with the vector instructions of this processor and of
# two kinds of older processors, each with one thread and with two threads. All tests must pass every time.
# `scripts/test.sh --lowest [...]` runs the tests with the oldest releases of all dependencies that pyproject.toml allows,
# in an environment of its own, .venv-lowest. uv installs them; it downloads about 3 GB for PyTorch.
set -euo pipefail
cd "$(dirname "$0")/.."
# Container images often set this variable. Each of the processes that the tests start would then compile all modules
# anew: `lookcast train` starts in 3 seconds with compiled modules, and in 9 without.
unset PYTHONDONTWRITEBYTECODE
source scripts/environment.sh dev
bash scripts/chromium.sh
if [ "${1:-}" = --lowest ]; then
  shift
  lowest=.venv-lowest
  "$bin/uv" venv --quiet --allow-existing --python "$bin/python" "$lowest"
  "$bin/uv" pip install --quiet --python "$lowest" --resolution lowest-direct --editable ".[dev]"
  bin=$lowest/${bin##*/}
else
  bash scripts/check.sh # the linters check the source, not the dependencies, so --lowest leaves them out
fi

# run_tests VARIABLES THREADS PYTEST_ARGUMENTS...
# With one thread, three test files run at a time, also on two cores, because many tests wait for a process or for a page.
# With two threads, one test file runs at a time. tests/conftest.py chooses the order of the files, not pytest-xdist.
# NUMBA_NUM_THREADS is set too: the reference of one test uses parallel code that numba compiled, which would otherwise
# change the number of threads of its process.
run_tests() {
  local variables=$1 threads=$2
  shift 2
  # shellcheck disable=SC2086 # one argument for each variable
  env $variables OMP_NUM_THREADS="$threads" NUMBA_NUM_THREADS="$threads" \
    "$bin/python" -m pytest -n "$((3 / threads))" --dist loadfile --no-loadscope-reorder "$@"
}

if [ "${1:-}" != --processors ]; then
  run_tests "" 1 "$@"
  exit
fi
shift
failed=0
for variables in "" "ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2" "ATEN_CPU_CAPABILITY=default NUMBA_CPU_NAME=generic"; do
  for threads in 1 2; do
    echo "== ${variables:-this processor}, threads: $threads"
    run_tests "$variables" "$threads" "$@" || failed=1
  done
done
exit "$failed"
