"""How long `deploykit up` takes on 1, 2, 4 and 8 hosts: the first, the second that finds nothing to do, and one with a new release.

See benchmarks/README.md for the method. The hosts are the tests' own (root, Linux); asserts nothing.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from platformdirs import user_cache_path

HOSTS = Path(__file__).resolve().parents[1] / "tests/hosts"
BIN = Path(sys.executable).parent
COUNTS = (1, 2, 4, 8)
TASKS = 10
"""Tasks of the play that is the peer: each asks a host for the state of one file."""


def timed(command: list[str], folder: Path) -> float:
    """Return the seconds a command takes; its last words are the error if it fails."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    key = {"DEPLOYKIT_API_KEY": "sk-bench", "HOME": str(home), "ANSIBLE_NOCOLOR": "1"}
    began = time.perf_counter()
    done = subprocess.run(command, env=os.environ | key, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return time.perf_counter() - began


def peer(folder: Path) -> Path:
    """Write the plain play that a second `up` is compared with."""
    tasks = [{"name": f"Look at file {i}", "ansible.builtin.stat": {"path": f"/etc/file{i}"}} for i in range(TASKS)]
    play = {"name": "Look", "hosts": "nodes", "gather_facts": True, "become": True, "tasks": tasks}
    path = folder / "peer.yml"
    path.write_text(yaml.safe_dump([play]))
    return path


def main() -> None:
    """Make the hosts, deploy to more and more of them, and print one table."""
    sys.path.insert(0, str(HOSTS))
    machines, environments = importlib.import_module("machines"), importlib.import_module("environments")
    reason = machines.why_not()
    if reason:
        sys.exit(reason)
    rows = []
    cache = user_cache_path("deploykit-tests", appauthor=False) / "hosts"
    counts = [int(word) for word in sys.argv[1:]] or list(COUNTS)
    with tempfile.TemporaryDirectory() as base:
        for count in counts:
            folder = Path(base) / str(count)
            (folder / "lab").mkdir(parents=True)
            with machines.Lab(folder / "lab", cache) as lab:
                hosts = lab.add(count, environments.double(lab.folder / "double"))
                inventory = lab.inventory(folder / "inventory.yml", hosts)
                up = [str(BIN / "deploykit"), "up", "-i", str(inventory), "--no-measure"]
                first = timed(up, folder)
                second = min(timed(up, folder) for _ in range(3))
                plain = [str(BIN / "ansible-playbook"), "-i", str(inventory), str(peer(folder))]
                play = min(timed(plain, folder) for _ in range(3))
                changed = timed([*up, "--set", "max-num-seqs=32"], folder)
                timed([str(BIN / "deploykit"), "down"], folder)
                rows.append({"hosts": count, "first": first, "second": second, "play": play, "changed": changed})
    print(
        f"{'hosts':>5} {'first s':>8} {'second s':>9} {'10-task play s':>15} {'second / play':>14} {'new release s':>14}"
    )
    for row in rows:
        print(
            f"{row['hosts']:>5} {row['first']:>8.1f} {row['second']:>9.1f} {row['play']:>15.1f} "
            f"{row['second'] / row['play']:>14.2f} {row['changed']:>14.1f}"
        )
    print(json.dumps(rows), file=sys.stderr)


if __name__ == "__main__":
    main()
