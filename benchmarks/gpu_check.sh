#!/usr/bin/env bash
# What a machine with a GPU should be asked first, in one call of at most 8 minutes:
#
#   benchmarks/gpu_check.sh OUT                  with torch, fbgemm-gpu, torchrec and pytest; PYTHON is the interpreter
#   benchmarks/gpu_check.sh OUT --device cpu     the same at small sizes, to test this script
#
# Each step has a limit of its own, and a failed one does not stop the others. OUT/gpu_check.json has every figure and
# says which steps failed; OUT/STEP.log has what a step printed. Exits with 1 if a step failed.
set -uo pipefail
usage() { echo "usage: gpu_check.sh OUT [--device cuda|cpu]" >&2; exit 2; }
[ $# -eq 1 ] || [ $# -eq 3 ] || usage
device=cuda
if [ $# -eq 3 ]; then
    [ "$2" = --device ] || usage
    device=$3
fi
[ "$device" = cuda ] || [ "$device" = cpu ] || usage
mkdir -p "$1" && out=$(cd "$1" && pwd) || exit 2
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} OMP_NUM_THREADS=${OMP_NUM_THREADS:-$([ "$device" = cuda ] && echo 4 || echo 1)}
(cd "$out" && rm -rf ./*.log ./*.memory machine.json nccl.json lookup.json pipeline.json ratings.* gpu_check.json runs)
: > "$out/steps.tsv"

step() { # NAME SECONDS COMMAND...
    local name=$1 limit=$2 began=$SECONDS status sampler=
    shift 2
    [ "$device" = cuda ] || limit=$((4 * limit)) # a core that others use
    if [ "$device" = cuda ] && command -v nvidia-smi > /dev/null; then
        nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits -lms 500 > "$out/$name.memory" 2> /dev/null &
        sampler=$!
    fi
    timeout --kill-after=5 "$limit" "$@" > "$out/$name.log" 2>&1 < /dev/null
    status=$?
    [ -z "$sampler" ] || { kill "$sampler"; wait "$sampler"; } 2> /dev/null
    printf '%s\t%s\t%s\t%s\n' "$name" "$status" "$((SECONDS - began))" "$limit" >> "$out/steps.tsv"
    [ $status -eq 0 ] && echo "$name: $((SECONDS - began)) s" || echo "$name: FAILED with status $status, see $name.log"
}
measured() { # NAME SECONDS: a step of gpu_check.py, which writes a record
    step "$1" "$2" "$python" benchmarks/gpu_check.py "$1" --device "$device" --output "$out/$1.json"
}

measured machine 40 # the first import from a cold disk
measured nccl 40
measured lookup 90
measured pipeline 75
# the tests that need a GPU; on a CPU their cases for it
files=$(grep -rl --include='*.py' 'mark[.]gpu' tests) marked=(-m gpu)
[ "$device" = cpu ] && marked=(-k cpu)
# shellcheck disable=SC2086  # several files
step tests 65 "$python" -m pytest -p no:cacheprovider -q "${marked[@]}" $files
measured ratings 15
for recipe in retrieval ranking; do
    model=(--encoder gru)
    [ $recipe = ranking ] && model=(--interaction dot --split by_ratio)
    step $recipe 50 "$python" recipes/train_$recipe.py --data "$out/ratings.csv" "${model[@]}" --dim 32 --epochs 2 \
        --device "$device" --output "$out/runs/$recipe"
done
timeout 15 "$python" benchmarks/gpu_collect.py "$out" "$device"
