"""The layers hold: imports point one way, pure packages touch nothing, Python knows no model and no GPU."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "deploykit"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "_data" not in p.parts)

VOCABULARY = {"base", "units", "errors", "caveat", "intent", "cost_intent"}
MAY_IMPORT = {
    "catalog": set(),
    "planning": {"catalog"},
    "rendering": {"planning", "catalog"},
    "deploying": {"rendering", "planning", "catalog", "workflows"},
    "measuring": {"catalog"},
    "costing": {"measuring", "catalog"},
    "quality": {"costing", "measuring", "catalog"},
    "gating": {"measuring", "costing", "planning", "catalog"},
    "reporting": {"gating", "quality", "costing", "deploying", "measuring", "planning", "rendering", "catalog"},
    "rehearsal": {"catalog"},
    "workflows": {"catalog", "planning", "rendering", "deploying", "measuring", "costing", "gating", "quality", "reporting"},
    "effects": {
        "catalog", "planning", "rendering", "deploying", "measuring", "costing", "gating", "quality", "reporting", "workflows",
    },
}  # fmt: skip
PURE = {"catalog", "planning", "rendering", "deploying", "measuring", "costing", "gating", "quality", "reporting"}
IMPURE_MODULES = {
    "socket", "subprocess", "os", "shutil", "tempfile", "time", "urllib", "http", "threading", "multiprocessing",
    "signal", "sys", "random", "ansible_runner", "requests", "httpx", "asyncio",
}  # fmt: skip
IMPURE_CALLS = {"open", "print", "input"}
IMPURE_ATTRIBUTES = {
    "now",
    "today",
    "utcnow",
    "read_text",
    "write_text",
    "read_bytes",
    "write_bytes",
    "mkdir",
    "unlink",
}


def layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Every module a file imports at run time; imports for type checkers alone count as well: they show the direction."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def names(paths: list[Path]) -> list[str]:
    return [str(p.relative_to(ROOT)) for p in paths]


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_imports_point_one_way(path):
    here = layer(path)
    if here not in MAY_IMPORT:
        return
    inner = {i.split(".")[1] for i in imports(path) if i.startswith("deploykit.")}
    wrong = inner - MAY_IMPORT[here] - VOCABULARY - {here}
    assert not wrong, f"{path.name} in {here} may not import {sorted(wrong)}"


PURE_MODULES = [p for p in MODULES if layer(p) in PURE]


@pytest.mark.parametrize("path", PURE_MODULES, ids=names(PURE_MODULES))
def test_pure_packages_touch_nothing(path):
    roots = {i.split(".")[0] for i in imports(path)}
    assert not roots & IMPURE_MODULES
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                assert node.func.id not in IMPURE_CALLS, f"line {node.lineno}: {node.func.id}()"
            elif isinstance(node.func, ast.Attribute):
                assert node.func.attr not in IMPURE_ATTRIBUTES, f"line {node.lineno}: .{node.func.attr}()"


def test_locust_and_vllm_are_never_imported():
    for path in MODULES:
        roots = {i.split(".")[0] for i in imports(path)}
        assert not roots & {"locust", "gevent", "vllm", "torch"}, path


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_python_knows_no_model_and_no_gpu(path):
    words = [p.stem for kind in ("models", "nodes", "prices") for p in (ROOT / "profiles" / kind).glob("*.yaml")]
    assert words, "the profiles are missing"
    text = path.read_text().lower()
    known = [w for w in words if len(w) > 5 and w in text]
    assert not known, f"{path} names {known}: that belongs into profiles/"


@pytest.mark.parametrize("path", MODULES, ids=names(MODULES))
def test_modules_are_small_and_open_with_a_sentence(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300
    if path.name != "__init__.py":
        assert ast.get_docstring(ast.parse(text)), f"{path} does not say what it is"


def test_there_is_no_drawer_for_leftovers():
    assert not [p for p in MODULES if p.stem in {"utils", "common", "helpers", "misc", "manager"}]


def test_only_the_console_prints():
    for path in MODULES:
        if path.name in {"console.py", "__main__.py"}:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id != "print", f"{path}:{node.lineno}"


def test_what_nobody_uses_is_not_there():
    """Public functions and classes that only tests call are dead code with a test."""
    defined: dict[str, Path] = {}
    used: dict[str, int] = {}
    sources = [
        *MODULES,
        *(p for folder in ("loadtests", "scripts", "playbooks") for p in (ROOT / folder).rglob("*.py")),
    ]
    for path in sources:
        tree = ast.parse(path.read_text())
        if path in MODULES:
            defined |= {
                n.name: path for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name[0] != "_"
            }
        for node in ast.walk(tree):
            name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value  # an annotation in quotes
            used[name] = used.get(name, 0) + 1
    assert len(defined) > 200
    assert not {name: str(path) for name, path in defined.items() if name not in used}
