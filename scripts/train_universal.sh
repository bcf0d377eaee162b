#!/usr/bin/env bash
# Train the universal checkpoint from photos: bash scripts/train_universal.sh PHOTOS [RUN_FOLDER] [KEY=VALUE ...]
# PHOTOS is a folder. Its photos are used as contents and as styles. There are two stages. If the training is
# interrupted, the same command resumes it from the last checkpoint. Overrides such as trainer=gpu apply to both stages.
# The training takes two hours on two CPU cores.
set -euo pipefail
usage="usage: bash scripts/train_universal.sh PHOTOS [RUN_FOLDER] [KEY=VALUE ...]"
photos=$(realpath -e "${1:?$usage}")
run=$(realpath -m "${2:-runs/universal}")
shift "$(($# > 2 ? 2 : $#))"
cd "$(dirname "$0")/.."
source scripts/environment.sh samples

stage() { # FOLDER EXPERIMENT OVERRIDES...
  local folder=$1 experiment=$2
  shift 2
  [ ! -e "$folder/look.safetensors" ] || return 0
  "$bin/lookcast" train "experiment=$experiment" style="'$photos'" data.photos="'$photos'" run_dir="'$folder'" "$@"
}
stage "$run/first" universal "$@"
stage "$run/second" universal_finish init_from="'$run/first/look.safetensors'" seed=1 "$@"
cp "$run/second/look.safetensors" "$run/universal.safetensors"
echo "score it: lookcast evaluate --pairs PAIRS --checkpoint $run/universal.safetensors -o $run/report"
