#!/usr/bin/env bash
# Test scripts/slurm/train.sbatch in a real SLURM on this machine. The SLURM uses only the loopback interface, no system
# services and no root. The script interrupts a training of two processes on the CPU in three ways. It checks that the
# training resumes each time and finishes. All files are in a temporary folder, which is removed at the end. The test
# takes about three minutes. Arguments go to `lookcast train`.
#
#   apt-get install slurm-wlm munge
#   bash scripts/slurm/try_local.sh
#
# STEPS is the number of training steps (default: 1000). Increase it if the training ends before it is interrupted.
set -euo pipefail
cd "$(dirname "$0")/../.."

for program in munged slurmctld slurmd sbatch; do
  PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || {
    echo "$program is missing; on Debian and Ubuntu: apt-get install slurm-wlm munge" >&2
    exit 2
  }
done
source scripts/environment.sh samples
venv=$(cd "$venv" && pwd) # the commands below run in another folder
export PATH="$venv/bin:$PATH:/usr/sbin"
repository=$PWD
steps=${STEPS:-1000}
folder=$(mktemp -d)
chmod 755 "$folder" # munge refuses a socket in a folder that other users cannot enter
mkdir "$folder/state" "$folder/spool" "$folder/work"
export SLURM_CONF=$folder/slurm.conf
daemons=()
job=

say() { echo "$(date +%T)  $*"; }
fail() {
  say "FAILED: $*" >&2
  tail -n 40 "$folder"/work/slurm-*.out "$folder"/*.log >&2 || true
  exit 1
}
stop() {
  trap - EXIT
  if [ -n "$job" ]; then # cancel the jobs before slurmd ends, because slurmd manages their processes
    scancel --full --user="$(id -un)" || true
    for _ in $(seq 60); do [ -z "$(squeue --noheader 2>/dev/null)" ] && break || sleep 1; done
  fi
  for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
  rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# 1. SLURM. ----------------------------------------------------------------------------------------------------------
ports=$("$venv/bin/python" -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))')
(umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")
# CPUs: there are only two, so the job that preempts the training needs the CPUs of its two processes.
# cred_expire: number of seconds that a requeued job waits before it starts again (default: 120).
cat >"$SLURM_CONF" <<CONF
ClusterName=local
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort=${ports% *}
SlurmdPort=${ports#* }
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2
PartitionName=train Nodes=localhost Default=YES PriorityTier=1 GraceTime=30
PartitionName=urgent Nodes=localhost PriorityTier=2 PreemptMode=OFF
CONF
munged --foreground --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/munged.seed" 2>/dev/null &
daemons=($!)
for _ in $(seq 50); do [ -S "$folder/munge.socket" ] && break || sleep 0.1; done
slurmctld -D 2>/dev/null &
daemons=($! "${daemons[@]}")
slurmd -D -N localhost 2>/dev/null &
daemons=($! "${daemons[@]}")
for _ in $(seq 60); do [ "$(sinfo --noheader --format=%T 2>/dev/null | uniq)" = idle ] && break || sleep 0.5; done
[ "$(sinfo --noheader --format=%T 2>/dev/null | uniq)" = idle ] || fail "SLURM does not start"
say "$(sinfo --version) on 127.0.0.1"

# 2. A training of two processes. ------------------------------------------------------------------------------------
cd "$folder/work"
export OMP_NUM_THREADS=1 GLOO_SOCKET_IFNAME=lo
job=$(sbatch --parsable --ntasks-per-node=2 --gpus-per-node=0 --cpus-per-task=1 --time=60 --signal=USR1@60 \
  "$repository/scripts/slurm/train.sbatch" data=samples style=sample:coffee trainer.accelerator=cpu \
  data.size=96 data.val_size=96 style_size=96 data.batch_size=2 data.num_workers=1 \
  trainer.max_steps="$steps" trainer.val_check_interval=1000 callbacks.last.every_n_steps=20 "$@")
run=runs/look/slurm-$job log=slurm-$job.out
checkpoint=$run/checkpoints/last.ckpt
say "job $job: $steps steps, 2 processes"

state() { scontrol show job "$job" | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p'; }
starts() { { cat "$log" 2>/dev/null || true; } | grep -c ', start [0-9]*, on' || true; }
step_of() { "$venv/bin/python" -c 'import sys, torch; print(torch.load(sys.argv[1], weights_only=True)["global_step"])' "$1"; }
# wait_for SECONDS EVENT COMMAND...: wait until COMMAND succeeds; fail after SECONDS or if the job ends. EVENT: its name.
wait_for() {
  local seconds=$1 event=$2
  shift 2
  for _ in $(seq "$((2 * seconds))"); do
    if "$@"; then return; fi
    case "$(state)" in
      COMPLETED) fail "the training ended before: $event (try STEPS=$((4 * steps)))" ;;
      FAILED | CANCELLED | TIMEOUT) fail "the job is $(state) before: $event" ;;
    esac
    sleep 0.5
  done
  fail "$seconds seconds without: $event"
}
has_started() { [ "$(starts)" -ge "$1" ]; }
has_saved() { [ "$checkpoint" -nt "$folder/mark" ]; }
has_stopped() { [ "$(state)" = PENDING ] || has_started "$1"; }

reached_steps=() # the step of the checkpoint after each interruption
# begin START: wait until start number START of the job has begun and has written its first checkpoint.
begin() {
  wait_for 60 "start $1" has_started "$1"
  say "start $1"
  touch "$folder/mark"
  wait_for 300 "a checkpoint of start $1" has_saved
}
# back_in_queue START: wait until the job has stopped and waits for start number START; record the checkpoint's step.
back_in_queue() {
  wait_for 200 "the job is queued again" has_stopped "$1"
  cp "$checkpoint" "$folder/reached.ckpt"
  reached_steps+=("$(step_of "$folder/reached.ckpt")")
  say "  back in the queue; its checkpoint has step ${reached_steps[-1]}"
}

begin 1
say "preemption by a job in a partition with higher priority: SIGTERM, 30 seconds of grace time"
sbatch --quiet --partition=urgent --ntasks=2 --output=/dev/null --wrap='sleep 3'
back_in_queue 2
begin 2
say "scontrol requeue $job: SIGTERM"
scontrol requeue "$job"
back_in_queue 3
begin 3
passed=$(($(date +%s) - $(date +%s --date="$(squeue --noheader --jobs="$job" --format=%S)")))
say "the time limit is near: SIGUSR1"
scontrol update JobId="$job" TimeLimit=$((passed / 60 + 2))
back_in_queue 4
scontrol update JobId="$job" TimeLimit=60
wait_for 60 "start 4" has_started 4
say "start 4"
ended() { case "$(state)" in COMPLETED | FAILED | CANCELLED | TIMEOUT) ;; *) return 1 ;; esac }
for _ in $(seq 1200); do ended && break || sleep 0.5; done

# 3. The result. -----------------------------------------------------------------------------------------------------
[ "$(state)" = COMPLETED ] || fail "expected COMPLETED, the job is $(state)"
say "job $job is $(state) after $(starts) starts"
[ -f "$run/look.safetensors" ] || fail "$run/look.safetensors is missing"
[ "$(ls runs/look)" = "slurm-$job" ] || fail "expected one run folder, got: $(ls runs/look)"
reached=$(step_of "$checkpoint")
[ "$reached" = "$steps" ] || fail "expected step $steps in $checkpoint, got $reached"
# Each start prints its first line of progress after its first step, so it resumed from the step before.
"$venv/bin/python" - "$log" "$steps" 0 "${reached_steps[@]}" <<'PYTHON' || fail "a start resumed from a wrong step"
import re
import sys
from pathlib import Path

log, steps, *expected = sys.argv[1], *map(int, sys.argv[2:])
starts = re.split(r", start \d+, on", Path(log).read_text())[1:]
resumed = [int(re.search(rf"^step (\d+)/{steps} ", text, re.MULTILINE).group(1)) - 1 for text in starts]
print(f"          expected to resume from steps {expected}, resumed from {resumed}")
sys.exit(resumed != expected)
PYTHON
say "every start resumed at the step that the previous one reached; the last step is $steps"
echo
echo "---- $log"
# If several lines of progress follow each other, print only the last one.
sed "s#$folder/work/##g; s#$repository/##g" "$log" | awk '
  /^step / { progress = $0; next }
  { if (progress != "") print progress; progress = ""; if ($0 != "") print }
  END { if (progress != "") print progress }'
