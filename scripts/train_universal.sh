#!/usr/bin/env bash
# Train the universal checkpoint from photos: bash scripts/train_universal.sh PHOTOS [RUN_FOLDER] [KEY=VALUE ...]
# PHOTOS is a folder. Its photos are used as contents and as styles. There are four stages. The fourth stage starts from
# a weighted mean of the weights of the first three. If the training is interrupted, the same command resumes it from
# the last checkpoint. Overrides such as trainer=gpu apply to every stage. The training takes about five hours on two
# CPU cores (an estimate from the steps per second of each stage).
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
stage "$run/second" universal_finish init_from="'$run/first/look.safetensors'" "$@"
stage "$run/third" universal_finish init_from="'$run/second/look.safetensors'" seed=1 trainer.max_steps=3000 \
  optimizer.lr=6e-4 loss.photorealism_weight=430 loss.smoothness_weight=2.3 "$@"
"$bin/python" scripts/average_checkpoints.py "$run"/{first,second,third}/look.safetensors \
  --shares 0.08,0.368,0.552 -o "$run/average.safetensors"
stage "$run/fourth" universal_truth init_from="'$run/average.safetensors'" "$@"
cp "$run/fourth/look.safetensors" "$run/universal.safetensors"
echo "score it: lookcast evaluate --pairs PAIRS --checkpoint $run/universal.safetensors -o $run/report"
