"""What a call measured -> archives that are small enough to come back; and these -> figures to keep, and run folders."""

import tarfile
from pathlib import Path

import machine
from measures import save

MOST_BYTES = 15 * 2**20
KEPT = ("turn.json", "command.txt", "plan.json", "manifest.json", "engine-0.sh")


def pack(turns: list[Path], store: Path, out: Path) -> None:
    """Write what comes back: an archive for each turn of this call, and once what the machine says of itself."""
    if not (store / "machine").is_dir():
        (store / "machine").mkdir(parents=True)
        for name, text in machine.records().items():
            (store / "machine" / name).write_text(text, encoding="utf-8")
        save(store / "machine" / "machine.json", {"nvml": machine.nvml(), "host": machine.host()})
        archive(store / "machine", out / "machine.tar.xz", without=())
    for turn in turns:
        target = out / f"{turn.parent.name}--{turn.name}.tar.xz"
        archive(turn, target, without=("profiles",))
        if target.stat().st_size > MOST_BYTES:  # the table has the samples too
            archive(turn, target, without=("profiles", "samples.jsonl"))


def archive(folder: Path, target: Path, *, without: tuple[str, ...]) -> None:
    """Pack a folder's files, without those of these names."""
    with tarfile.open(target, "w:xz", preset=3) as tar:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and not file.is_symlink() and not set(file.relative_to(folder).parts) & set(without):
                tar.add(file, arcname=str(Path(folder.name) / file.relative_to(folder)), recursive=False)


def take(archive: Path, records: Path, runs: Path) -> None:
    """Unpack one archive: small files of figures into the records, the whole of it beside the other runs."""
    key = archive.name.removesuffix(".tar.xz").rpartition("--")[0]
    with tarfile.open(archive) as tar:
        tar.extractall(runs / key, filter="data")
        for member in tar.getmembers():
            place = Path(member.name)
            kept = place.name in KEPT and "runs" not in place.parts
            if member.isfile() and (kept or not key) and (source := tar.extractfile(member)) is not None:
                target = records / key / place.parts[0] / place.name
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read())
