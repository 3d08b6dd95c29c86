"""The tree of a bundle, for the dry run."""

from deploykit.rendering.bundle import Bundle, BundleFile
from deploykit.rendering.tree import show_bytes, tree
from tests.rendering.test_renderer import CASES, bundle_of


def file(path: str, size: int = 1) -> BundleFile:
    return BundleFile(path=path, content="x" * size, purpose=f"about {path}")


def test_folders_once_and_files_with_size_and_purpose() -> None:
    bundle = Bundle(files=(file("plan.json"), file("a/b/c.yaml", 1500), file("a/b/d"), file("a/e")))
    digest = bundle.manifest.digest[:12]
    assert tree(bundle) == (
        f"bundle {digest}  4 files, 1.5 kB",
        "  a/",
        "    b/",
        "      c.yaml    1.5 kB  about a/b/c.yaml",
        "      d            1 B  about a/b/d",
        "    e              1 B  about a/e",
        "  plan.json        1 B  about plan.json",
    )


def test_sizes_are_bytes_of_utf8() -> None:
    bundle = Bundle(files=(BundleFile(path="a", content="ü", purpose="p"),))
    assert "2 B" in tree(bundle)[1]


def test_every_file_is_there_once() -> None:
    bundle = bundle_of(*CASES["two-node-engine"])
    lines = tree(bundle)
    for entry in bundle.files:
        assert sum(line.endswith(f"  {entry.purpose}") for line in lines) == 1
    assert len(lines) == 1 + len(bundle.files) + len({"ansible", "engine", "rank-0", "rank-1", "gateway", "monitoring"})


def test_an_empty_bundle_is_one_line() -> None:
    assert len(tree(Bundle(files=()))) == 1


def test_sizes_are_for_people() -> None:
    assert (show_bytes(999), show_bytes(1000), show_bytes(12345)) == ("999 B", "1.0 kB", "12.3 kB")
