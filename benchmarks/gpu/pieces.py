"""The lock in, pieces of at most so many bytes out: what the machine with the GPU needs beside its image, to be carried there one by one.

    python benchmarks/gpu/pieces.py [--out .gpu-pieces]      download, check and cut
    python benchmarks/gpu/pieces.py --lock                   resolve requirements.in anew

What is in the folder already and right is left alone, so an interrupted run goes on. Same lock, same pieces. Each piece lies in a
folder of its own with the manifest beside it, which says which part of which wheel it holds, and every SHA-256.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
LOCK, REQUIREMENTS, CARRIED = HERE / "requirements.lock", HERE / "requirements.in", HERE / "carried.yaml"
PIECE_BYTES = 56_000_000
"""A copy holds at most 64 MiB (67.1 MB), the checkout included, which is about 7 MB."""
RELEASED = "2026-08-01"
"""The lock has nothing newer: the engine was released on 2026-07-25, and later packages were never tried with it."""
PYTHON = "3.12"
PLATFORMS = (
    *(f"manylinux_2_{minor}_x86_64" for minor in (39, 35, 34, 31, 28, 27, 24, 17, 12, 5)),
    "manylinux2014_x86_64",
    "manylinux2010_x86_64",
    "manylinux1_x86_64",
    "linux_x86_64",
)
_BLOCK = 1 << 20

Segment = dict[str, Any]
Wheel = tuple[str, int]
"""A file's name and size."""


def main() -> None:
    """Make the pieces, or the lock."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path(".gpu-pieces"))
    parser.add_argument("--piece-bytes", type=int, default=PIECE_BYTES)
    parser.add_argument("--lock", action="store_true", help="resolve the requirements anew, and do nothing else")
    options = parser.parse_args()
    if options.lock:
        lock()
        return
    wanted = carried(
        requirements(LOCK.read_text(encoding="utf-8")), yaml.safe_load(CARRIED.read_text(encoding="utf-8"))
    )
    wheels = options.out / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    download(wanted, wheels)
    made = manifest(wheels, pieces(sizes(wheels), options.piece_bytes))
    write(made, wheels, options.out)
    total = sum(piece["bytes"] for piece in made["pieces"])
    print(f"{len(made['files'])} wheels, {total / 1e6:.1f} MB, in {len(made['pieces'])} pieces under {options.out}")


def lock() -> None:
    """Resolve requirements.in for the image's Python and PyTorch."""
    stays = yaml.safe_load(CARRIED.read_text(encoding="utf-8"))["image"]
    torch = [name for name in ("torch", "torchaudio", "torchvision", "triton") if stays.get(name)]
    command = [
        "uv", "pip", "compile", str(REQUIREMENTS), "--output-file", str(LOCK), "--python-version", PYTHON,
        "--python-platform", "x86_64-manylinux_2_28", "--exclude-newer", RELEASED, "--generate-hashes", "--no-annotate",
        "--custom-compile-command", "python benchmarks/gpu/pieces.py --lock", "--quiet", "--constraints", "-",
    ]  # fmt: skip
    subprocess.run(command, input="\n".join(f"{name}=={stays[name]}" for name in torch), text=True, check=True)


def requirements(text: str) -> dict[str, str]:
    """Return a lock's requirements, each with its hashes in one text, by normal name."""
    joined = re.sub(r"\\\n\s*", "", text)
    lines = [line.strip() for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    return {normal(line.split("==")[0]): line for line in lines}


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0].strip()).lower()


def carried(locked: dict[str, str], policy: dict[str, dict[str, str | None]]) -> dict[str, str]:
    """Return the requirements that travel: neither the image's nor left out."""
    return {
        name: line for name, line in locked.items() if name not in policy["image"] and name not in policy["left_out"]
    }


def download(wanted: dict[str, str], folder: Path) -> None:
    """Fetch the wheels that are not there yet, each as the lock's hashes have it; take away what is not wanted."""
    have = {package(wheel): wheel for wheel in sorted(folder.glob("*.whl"))}
    for name, wheel in have.items():
        if name not in wanted or digest(content(wheel)) not in wanted[name]:
            wheel.unlink()
    missing = {name: line for name, line in wanted.items() if name not in have or not have[name].is_file()}
    if missing:
        listed = folder.parent / "missing.txt"
        listed.write_text("\n".join(missing.values()) + "\n", encoding="utf-8")
        platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
        command = [
            sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--require-hashes", "--only-binary=:all:",
            "--python-version", PYTHON, "--implementation", "cp", *platforms, "--dest", str(folder), "--requirement", str(listed),
        ]  # fmt: skip
        subprocess.run(command, check=True)
    if lacking := wanted.keys() - {package(wheel) for wheel in folder.glob("*.whl")}:
        sys.exit(f"no wheel of {', '.join(sorted(lacking))}")


def package(wheel: Path) -> str:
    """Return the normal name of a wheel's package."""
    return normal(wheel.name.split("-")[0])


def sizes(folder: Path) -> list[Wheel]:
    """Return the wheels with their sizes, the largest first."""
    return sorted(((w.name, w.stat().st_size) for w in folder.glob("*.whl")), key=lambda one: (-one[1], one[0]))


def pieces(wheels: list[Wheel], limit: int) -> Iterator[list[Segment]]:
    """Cut the wheels, laid one after the other, every `limit` bytes."""
    room, piece = limit, list[Segment]()
    for name, size in wheels:
        done = 0
        while done < size:
            length = min(room, size - done)
            piece.append({"file": name, "offset": done, "bytes": length})
            done, room = done + length, room - length
            if not room:
                yield piece
                room, piece = limit, []
    if piece:
        yield piece


def manifest(wheels: Path, cut: Iterator[list[Segment]]) -> dict[str, Any]:
    """Return what is carried: every wheel and every piece with size and SHA-256."""
    files = {name: {"bytes": size, "sha256": digest(content(wheels / name))} for name, size in sizes(wheels)}
    made = []
    for number, segments in enumerate(cut, 1):
        inside = (block for segment in segments for block in part(wheels, segment))
        length = sum(segment["bytes"] for segment in segments)
        made.append({"name": f"{number:02}", "bytes": length, "sha256": digest(inside), "segments": segments})
    return {"format": "deploykit/gpu-pieces/1", "files": files, "pieces": made}


def write(made: dict[str, Any], wheels: Path, out: Path) -> None:
    """Write the pieces that are not there yet, each in a folder with the manifest; take away what is no piece any more."""
    text = json.dumps(made, indent=1, sort_keys=True) + "\n"
    (out / "manifest.json").write_text(text, encoding="utf-8")
    for old in out.glob("[0-9][0-9]"):
        if old.name not in {piece["name"] for piece in made["pieces"]}:
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
    for piece in made["pieces"]:
        folder = out / piece["name"]
        folder.mkdir(exist_ok=True)
        (folder / "manifest.json").write_text(text, encoding="utf-8")
        target = folder / "piece"
        if target.is_file() and digest(content(target)) == piece["sha256"]:
            continue
        with target.open("wb") as file:
            for segment in piece["segments"]:
                file.writelines(part(wheels, segment))


def part(wheels: Path, segment: Segment) -> Iterator[bytes]:
    """Yield the bytes of a segment."""
    return content(wheels / segment["file"], segment["offset"], segment["bytes"])


def content(path: Path, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
    """Yield a file's bytes in blocks."""
    left = path.stat().st_size - offset if length is None else length
    with path.open("rb") as file:
        file.seek(offset)
        while left and (block := file.read(min(_BLOCK, left))):
            left -= len(block)
            yield block


def digest(blocks: Iterator[bytes]) -> str:
    """Return the SHA-256 of blocks."""
    found = hashlib.sha256()
    for block in blocks:
        found.update(block)
    return found.hexdigest()


if __name__ == "__main__":
    main()
