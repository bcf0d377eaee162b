#!/usr/bin/env bash
# Train the universal checkpoint from photos: bash scripts/train_universal.sh PHOTOS [RUN_FOLDER] [KEY=VALUE ...]
# PHOTOS is a folder. Its photos are used as contents and as styles. The first stage makes the look, the second makes it
# calm, and the third makes it bolder. The result is a weighted mean of the weights of the second and the third. If the
# training is interrupted, the same command resumes it from the last checkpoint. Overrides such as trainer=gpu apply to
# every stage. The training takes three hours on two CPU cores.
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
stage "$run/third" universal_finish init_from="'$run/second/look.safetensors'" seed=2 trainer.max_steps=2900 \
  loss.style_weight=13 loss.color_weight=1.4 loss.smoothness_weight=3 loss.flatness_weight=9500 loss.truth_weight=80 "$@"
"$bin/python" scripts/average_checkpoints.py "$run"/{second,third}/look.safetensors --shares 0.7,0.3 \
  -o "$run/universal.safetensors"
echo "score it: lookcast evaluate --pairs PAIRS --checkpoint $run/universal.safetensors -o $run/report"
