#!/usr/bin/env bash
# Train the universal checkpoint from photos: bash scripts/train_universal.sh PHOTOS [RUN_FOLDER] [KEY=VALUE ...]
# Again with the same words it goes on from the run's last checkpoint. About an hour on two CPU cores.
set -euo pipefail
cd "$(dirname "$0")/.."
photos=$(realpath "${1:?a folder of photos: bash scripts/train_universal.sh PHOTOS [RUN_FOLDER] [KEY=VALUE ...]}")
run=$(realpath -m "${2:-runs/universal}")
shift $(($# > 2 ? 2 : $#))
source scripts/environment.sh
resume=null
[[ -f "$run/checkpoints/last.ckpt" ]] && resume="'$run/checkpoints/last.ckpt'"
lookcast train experiment=universal "style='$photos'" "data.photos='$photos'" "run_dir='$run'" "resume=$resume" "$@"
echo "score it: lookcast evaluate --pairs PAIRS --checkpoint $run/look.safetensors -o $run/report"
