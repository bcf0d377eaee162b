#!/usr/bin/env bash
# The checks of the source without the tests. scripts/test.sh and the pre-commit hook both run this list.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh dev
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
