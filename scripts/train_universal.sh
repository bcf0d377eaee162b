#!/usr/bin/env bash
# Train the universal checkpoint from photos: bash scripts/train_universal.sh PHOTOS [RUN_FOLDER] [KEY=VALUE ...]
# PHOTOS is a folder; they are the contents and the styles. The same command again goes on from the run's last
# checkpoint. More than an hour on one CPU core. trainer=gpu, or any other override, may follow.
set -euo pipefail
usage="usage: bash scripts/train_universal.sh PHOTOS [RUN_FOLDER] [KEY=VALUE ...]"
photos=$(realpath -e "${1:?$usage}")
run=$(realpath -m "${2:-runs/universal}")
shift "$(($# > 2 ? 2 : $#))"
cd "$(dirname "$0")/.."
source scripts/environment.sh samples
last=$run/checkpoints/last.ckpt
resume=(resume=null)
[ ! -e "$last" ] || resume=("resume='$last'")
"$venv/bin/lookcast" train experiment=universal style="'$photos'" data.photos="'$photos'" run_dir="'$run'" \
  "${resume[@]}" "$@"
