#!/bin/sh
# Locks the engine's CPU environment with hashes: profiles/engines/vllm-<minor>.cpu.in in, .cpu.lock beside it out.
# Likewise the router's, .router.in, for the Python of the CUDA build.
#
# usage: scripts/engine_lock.sh [MINOR]     (0.32 if not given)
#
# torch==<version>+cpu is not in the default index. It comes from PyTorch's CPU index, or, if UV_FIND_LINKS names a
# folder with the wheel, from there. Wheels are the same files in both, so the lock holds nothing about either.
set -eu

minor=${1:-0.32}
uv=${UV:-.venv/bin/uv}
torch_index=https://download.pytorch.org/whl/cpu
cd "$(dirname "$0")/.."
stem=profiles/engines/vllm-$minor.cpu

# The index is a default only: an operator who names a folder does not need it to answer.
if [ -z "${UV_FIND_LINKS:-}" ]; then
    set -- --extra-index-url "$torch_index" --index-strategy unsafe-best-match
else
    set --
fi

# The environment is always this Python on this platform: PyTorch has one hash per Python and machine.
"$uv" pip compile "$stem.in" --overrides "$stem.overrides" --output-file "$stem.lock" \
    --python-version 3.11 --python-platform x86_64-manylinux_2_34 \
    --generate-hashes --no-annotate --custom-compile-command "make engine-lock" --quiet "$@"

"$uv" pip compile "profiles/engines/vllm-$minor.router.in" --output-file "profiles/engines/vllm-$minor.router.lock" \
    --python-version 3.12 --python-platform x86_64-manylinux_2_34 \
    --generate-hashes --no-annotate --custom-compile-command "make engine-lock" --quiet
