#!/usr/bin/env bash
# Measure a base and a head in turns (A B B A A B ...) on the same nodes, and say what the gate says.
#
#   pairs.sh BASE_FOLDER HEAD_FOLDER [PAIRS] [ARGUMENTS OF deploykit up...]
#
# Each folder holds a deploykit.yaml. Leaves gate.json and comment.md here; the exit code is that of `deploykit gate`.
set -euo pipefail

base=$(cd "${1:?the folder of the base}" && pwd)
head=$(cd "${2:?the folder of the head}" && pwd)
pairs=${3:-3}
shift $(($# < 3 ? $# : 3))
here=$PWD
export DEPLOYKIT_RUNS_DIR=${DEPLOYKIT_RUNS_DIR:-$here/runs}
: > base.txt
: > head.txt

# once FOLDER LIST: start the engine anew, measure, and note the run's name.
once() {
  local folder=$1 list=$2
  shift 2
  (cd "$folder" && { deploykit down > /dev/null 2>&1 || true; } && deploykit up --again --json "$@") > up.json
  python3 -c 'import json, pathlib; print(pathlib.Path(json.load(open("up.json"))["result"]["run"]).name)' >> "$list"
}

for ((i = 0; i < pairs; i++)); do
  if ((i % 2 == 0)); then
    once "$base" base.txt "$@"
    once "$head" head.txt "$@"
  else
    once "$head" head.txt "$@"
    once "$base" base.txt "$@"
  fi
done

code=0
deploykit gate --base "$(paste -sd, base.txt)" --head "$(paste -sd, head.txt)" -f "$base/deploykit.yaml" \
  --base-name "${BASE_SHA:-base}" --head-name "${HEAD_SHA:-head}" --out gate.json || code=$?
if [ -f gate.json ]; then
  deploykit comment --gate gate.json --dry-run > comment.md
fi
exit "$code"
