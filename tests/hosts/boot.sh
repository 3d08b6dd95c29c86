#!/usr/bin/env bash
# Runs one test host until it is switched off: boot.sh CGROUP NAME ROOT NETNS [BIND...], in a mount namespace of its own.
set -euo pipefail
cgroup=$1 name=$2 root=$3 netns=$4
shift 4

# nspawn wants to see one unified cgroup tree, whatever this machine has mounted.
mountpoint -q /sys/fs/cgroup && umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# It cleans this folder up at its end, and refuses to on a disk.
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn

while :; do
    # The loop is part of the host, so that a power cut ends it too.
    echo $$ >"$cgroup/cgroup.procs"
    code=0
    SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_API_VFS_WRITABLE=network \
        systemd-nspawn --quiet --boot --directory="$root" --machine="$name" --hostname="$name" \
        --register=no --keep-unit --link-journal=no --console=pipe --resolv-conf=off --timezone=off \
        --network-namespace-path="$netns" --capability=CAP_NET_ADMIN "$@" || code=$?
    # A host that reboots ends nspawn with this code; any other is its end.
    [ "$code" = 133 ] || exit "$code"
done
