"""Runs on the machine with the GPU: takes the pieces that were carried into a folder that stays, and installs them when all are there.

    python3 benchmarks/gpu/assemble.py .gpu-pieces /var/tmp/gpu

Needs Python 3.12 and its standard library and pip, no network. Each call takes what it finds; what it has taken already it leaves
alone, so a piece may come twice, and in any order. Says what is missing, and exits 3 until nothing is. Wheels go into `site/`, which
PYTHONPATH has to name: the image's own packages stay as they are and come after it.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

NOT_YET = 3
_BLOCK = 1 << 20
_CHECK = """
import importlib.metadata as m, sys
for name in ("vllm", "torch", "triton", "transformers", "numpy", "numba", "pyarrow"):
    try: print(f"  {name} {m.version(name)}")
    except Exception as error: print(f"  {name}: {error!r}")
import gevent, pydantic, torch, vllm
print(f"  CUDA {torch.version.cuda}, GPU: {torch.cuda.is_available() and torch.cuda.get_device_name()}")
"""


def main() -> int:
    """Take the pieces; install when they are complete. Return the exit code."""
    carried, store = Path(sys.argv[1]), Path(sys.argv[2])
    manifest = newest(carried, store)
    if manifest is None:
        print(f"no manifest in {carried} or {store}")
        return NOT_YET
    for piece in manifest["pieces"]:
        for place in (carried / piece["name"], carried):
            if (place / "piece").is_file() and not taken(store, piece).exists():
                take(place / "piece", piece, store)
    missing = [piece["name"] for piece in manifest["pieces"] if not taken(store, piece).exists()]
    if missing:
        print(
            f"{len(manifest['pieces']) - len(missing)} of {len(manifest['pieces'])} pieces are here; missing: {' '.join(missing)}"
        )
        return NOT_YET
    return install(manifest, store)


def newest(carried: Path, store: Path) -> dict[str, Any] | None:
    """Return the manifest that came with the pieces, else the one that is kept. Another one than is kept begins anew."""
    found = sorted(carried.glob("*/manifest.json")) + sorted(carried.glob("manifest.json"))
    kept = store / "manifest.json"
    if found:
        text = found[0].read_text(encoding="utf-8")
        if kept.is_file() and kept.read_text(encoding="utf-8") != text:
            shutil.rmtree(store)
        store.mkdir(parents=True, exist_ok=True)
        kept.write_text(text, encoding="utf-8")
    if not kept.is_file():
        return None
    made: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    return made


def taken(store: Path, piece: dict[str, Any]) -> Path:
    """Return the file that says that a piece was taken."""
    return store / "taken" / f"{piece['name']}-{piece['sha256'][:16]}"


def take(file: Path, piece: dict[str, Any], store: Path) -> None:
    """Put a piece's parts where they belong in the wheels; a piece whose sum is wrong is left out, and said."""
    if digest(file) != piece["sha256"]:
        print(f"piece {piece['name']} is damaged: carry it again")
        return
    wheels = store / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    with file.open("rb") as source:
        for segment in piece["segments"]:
            target = wheels / segment["file"]
            target.touch()
            with target.open("r+b") as out:
                out.seek(segment["offset"])
                left = segment["bytes"]
                while left:
                    block = source.read(min(_BLOCK, left))
                    out.write(block)
                    left -= len(block)
    taken(store, piece).parent.mkdir(exist_ok=True)
    taken(store, piece).touch()
    print(f"piece {piece['name']} taken")


def install(manifest: dict[str, Any], store: Path) -> int:
    """Check every wheel and install them all, once; say what is there."""
    site, done = store / "site", store / "installed"
    if not done.is_file():
        wheels = store / "wheels"
        wrong = [name for name, fact in manifest["files"].items() if digest(wheels / name) != fact["sha256"]]
        if wrong:
            print(f"damaged: {' '.join(wrong)}; carry the pieces again")
            shutil.rmtree(store)
            return 1
        shutil.rmtree(site, ignore_errors=True)
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--no-cache-dir",
            "--disable-pip-version-check", "--find-links", str(wheels), "--target", str(site),
            *(str(wheels / name) for name in manifest["files"]),
        ]  # fmt: skip
        installed = subprocess.run(command, check=False).returncode
        if installed:
            return installed
        shutil.rmtree(wheels)
        done.touch()
    print(f"{len(manifest['files'])} wheels are installed in {site}")
    return 0


def check(site: Path) -> int:
    """Import what was installed, before anything is measured with it; say the versions that meet."""
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(site)!r}){_CHECK}"]
    return subprocess.run(command, check=False).returncode


def digest(file: Path) -> str:
    """Return a file's SHA-256."""
    found = hashlib.sha256()
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


if __name__ == "__main__":
    code = main()
    sys.exit(code or check(Path(sys.argv[2]) / "site"))
