"""A bundle in, its files as lines of a tree out, for the operator who looks before leaping."""

from deploykit.rendering.bundle import Bundle, BundleFile

_SHORT = 12


def tree(bundle: Bundle) -> tuple[str, ...]:
    """Return the bundle as lines: folders and files, and each file's size and purpose."""
    manifest = bundle.manifest
    size = show_bytes(sum(entry.bytes for entry in manifest.files))
    lines = [f"bundle {manifest.digest[:_SHORT]}  {len(manifest.files)} files, {size}"]
    names = _names([file.path for file in bundle.files])
    width = max((len(name) for name, _ in names), default=0)
    for name, path in names:
        lines.append(f"{name.ljust(width)}  {_about(bundle.file(path))}" if path else name)
    return tuple(lines)


def show_bytes(size: int) -> str:
    """Return a size for people."""
    return f"{size} B" if size < 1000 else f"{size / 1000:.1f} kB"


def _about(file: BundleFile) -> str:
    return f"{show_bytes(len(file.content.encode())):>8}  {file.purpose}"


def _names(paths: list[str]) -> list[tuple[str, str | None]]:
    """Return indented names in order; a folder has no path."""
    names: list[tuple[str, str | None]] = []
    above: list[str] = []
    for path in sorted(paths, key=lambda p: p.split("/")):
        *folders, leaf = path.split("/")
        shared = 0
        while shared < min(len(folders), len(above)) and folders[shared] == above[shared]:
            shared += 1
        names += [(f"{'  ' * (depth + 1)}{folder}/", None) for depth, folder in enumerate(folders) if depth >= shared]
        names.append((f"{'  ' * (len(folders) + 1)}{leaf}", path))
        above = folders
    return names
