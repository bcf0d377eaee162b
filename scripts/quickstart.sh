#!/usr/bin/env bash
# Train a look from bundled photographs in three to seven minutes on two CPU cores, and stylize a photo with it.
# It needs no account, no GPU and no data. Arguments go to `lookcast train`: scripts/quickstart.sh style=sample:rocket
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/environment.sh samples
run=runs/quickstart/$(date +%Y-%m-%d_%H-%M-%S)
"$venv/bin/lookcast" train experiment=quickstart hydra.run.dir="$run" "$@"
photo=$("$venv/bin/python" -c 'from lookcast.data.sources.samples import sample_path; print(sample_path("china"))')
"$venv/bin/lookcast" stylize "$photo" --checkpoint "$run/look.safetensors" -o "$run/china_stylized.jpg"
echo
echo "content, style and output in one picture:  $(ls "$run"/samples/*.png | tail -n 1)"
echo "next, for your own photos:  source $venv/bin/activate"
echo "  lookcast stylize PHOTO --checkpoint $run/look.safetensors -o stylized.jpg"
echo "  lookcast train style=PHOTO data.photos=FOLDER"
