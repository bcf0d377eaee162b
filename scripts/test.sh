#!/usr/bin/env bash
# Set everything up, then lint, type-check and test. Arguments go to pytest: scripts/test.sh -k gram
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh dev
"$venv/bin/ruff" check .
"$venv/bin/ruff" format --check .
"$venv/bin/mypy"
"$venv/bin/python" -m pytest "$@"
