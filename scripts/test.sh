#!/usr/bin/env bash
# Set everything up, then lint, type-check and test. Further arguments go to pytest: scripts/test.sh -k gram
#   scripts/test.sh -m nightly      the slow tests: compiled networks, sweeps, torchrun, killed processes
#   scripts/test.sh --processors    the tests as on other processors, with one and two threads each (nightly)
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh dev

# Every setting makes a library choose other instructions, and thereby sum in another order.
processors=(
  "ATEN_CPU_CAPABILITY=default" # PyTorch without vector extensions
  "ATEN_CPU_CAPABILITY=avx2"
  "ONEDNN_MAX_CPU_ISA=AVX2" # convolutions
  "NUMBA_CPU_NAME=generic"  # the kernel of the bilateral grid
  "LOOKCAST_NATIVE=1"       # this processor as it is; nothing reads the variable
)

run_tests() { # number of threads, then arguments of pytest
  # With one thread, two tests run at a time, because many wait for processes that they have started. Parallel code that
  # numba compiles, which the reference of a test needs, would set the threads of the whole process otherwise.
  OMP_NUM_THREADS=$1 NUMBA_NUM_THREADS=$1 "$venv/bin/python" -m pytest -n $((3 - $1)) --dist loadfile "${@:2}"
}

if [[ ${1:-} == --processors ]]; then
  failed=()
  for processor in "${processors[@]}"; do
    for threads in 1 2; do
      echo "== $processor, $threads thread(s)"
      (export "${processor?}" && run_tests "$threads" "${@:2}") || failed+=("$processor, $threads thread(s)")
    done
  done
  printf 'failed: %s\n' "${failed[@]:-nothing}"
  exit $((${#failed[@]} > 0))
fi

"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
run_tests 1 "$@"
