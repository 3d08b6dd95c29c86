#!/usr/bin/env bash
# The gate on the real engine (vLLM's CPU build, a rehearsal): an A/A test that should be SAME, and an engine slowed on
# purpose (one request at a time) that should be REGRESSED. Everything happens in one new folder; what served is stopped.
#
#   benchmarks/gate/rehearse.sh FOLDER [PAIRS]
#
# The margins are wide, as two shared CPU cores are noisy: what is shown is the road, and that a large change is seen.
set -euo pipefail

folder=${1:?a folder that does not exist yet}
pairs=${2:-6}
port=${DEPLOYKIT_PORT:-8001}
slow="max-num-seqs=1"

if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
  echo "somebody listens on port $port: try later, or set DEPLOYKIT_PORT" >&2
  exit 1
fi
mkdir "$folder" "$folder/home" "$folder/work"
folder=$(cd "$folder" && pwd)
export UV_CACHE_DIR=${UV_CACHE_DIR:-$HOME/.cache/uv} PIP_CACHE_DIR=${PIP_CACHE_DIR:-$HOME/.cache/pip}
export HOME="$folder/home" DEPLOYKIT_PORT="$port"
unset DEPLOYKIT_DATA_DIR DEPLOYKIT_RUNS_DIR DEPLOYKIT_CONFIG XDG_DATA_HOME XDG_CACHE_HOME XDG_STATE_HOME
cd "$folder/work"
cat > deploykit.yaml <<'YAML'
gate: {throughput: 0.35, usd_per_m: 0.35, tpot: 0.35, ttft: 1.0, good_share: 0.3}
YAML
trap 'deploykit down >> down.log 2>&1 || true' EXIT

# once FILE ARGUMENTS: measure anew, and note the run's name. A machine that is too busy to serve at all is waited for.
once() {
  local file=$1 left=5
  shift
  until deploykit up --again --json "$@" > up.json 2>> up.log; do
    ((left--)) || return 1
    echo "$(date -u +%H:%M:%S) not measured: $(python3 -c 'import json; print(json.load(open("up.json"))["error"]["what"])')"
    sleep 30
  done
  python3 -c 'import json, pathlib, sys; print(pathlib.Path(json.load(open("up.json"))["result"]["run"]).name)' >> "$file"
  echo "$(date -u +%H:%M:%S) $file $(tail -1 "$file")"
}

# in_turns A B ARGUMENTS_OF_B: A B B A A B ... so that a steady drift of the machine cancels out.
in_turns() {
  local a=$1 b=$2 i
  shift 2
  for ((i = 0; i < pairs; i++)); do
    if ((i % 2 == 0)); then
      once "$a"
      once "$b" "$@"
    else
      once "$b" "$@"
      once "$a"
    fi
  done
}

names() { paste -sd, "$1"; }

echo "== A/A: the same engine twice"
deploykit up --no-measure > up.json 2>> up.log
in_turns aa-base aa-head
code=0
deploykit gate --base "$(names aa-base)" --head "$(names aa-head)" --out aa.json || code=$?
echo "exit code $code"

echo "== A/B: the head is slowed by --set $slow"
in_turns ab-base ab-head --set "$slow"
code=0
noise=$(cat aa-base aa-head | sort | paste -sd,)
deploykit gate --base "$(names ab-base)" --head "$(names ab-head)" --noise "$noise" --out ab.json || code=$?
echo "exit code $code"
for gate in aa.json ab.json; do
  deploykit comment --gate "$gate" --dry-run > "${gate%.json}.md"
done
deploykit report verify latest
