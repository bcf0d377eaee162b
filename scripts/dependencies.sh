#!/usr/bin/env bash
# Report on all packages that `pip install lookcast[dev]` installs: known vulnerabilities, licences and an SBOM.
# usage: scripts/dependencies.sh [FOLDER]    writes FOLDER/{audit.json,licences.md,sbom.json} (default: reports)
# The audit asks the vulnerability service of the package index; the script fails if the service can't be reached or
# knows a vulnerability. The tools run in environments of their own, so that they are not in the reports.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh dev
reports=${1:-reports}
mkdir -p "$reports"
tool() { "$bin/uv" tool run --quiet --from "$@"; }

tool "pip-licenses>=5" pip-licenses --python "$bin/python" --from=mixed --with-urls --format=markdown >"$reports/licences.md"
tool "cyclonedx-bom>=7" cyclonedx-py environment --pyproject pyproject.toml --mc-type library \
  --output-reproducible --output-file "$reports/sbom.json" "$bin/python"
"$bin/python" -m pip freeze --exclude-editable >"$reports/requirements.txt"
# --strict fails for a package that the service does not know, which also happens if there is no service.
tool "pip-audit>=2.9" pip-audit --strict --no-deps --disable-pip --requirement "$reports/requirements.txt" \
  --format json --output "$reports/audit.json"
