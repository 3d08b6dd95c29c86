"""From nothing: a fresh copy of the source in a clean home with the README's commands, and the wheel outside of it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.install

README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"```console\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line
]
NOT_HERE = {
    "make test-fast": "this very run is its proof; inside of itself it would not end",
    "make check": "CI runs it before the tests",
}


def shell(user, command: str, *, cwd: Path, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
    """Run a line of the README as a shell would."""
    environment = user.environment | {"PYTHON": sys.executable}
    environment["PATH"] = f"{cwd / '.venv/bin'}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        ["sh", "-c", command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )


@pytest.fixture(scope="module")
def clone(make_user, tmp_path_factory):
    """A copy of what git would hand out, and a user who has nothing else."""
    folder = tmp_path_factory.mktemp("clone")
    source = folder / "deploy kit"
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, source / name)
    user = make_user(folder, source / ".venv/bin/deploykit")
    return user, source


def test_every_command_of_the_readme_works_in_its_order(clone):
    user, source = clone
    assert len(COMMANDS) > 15
    for command in COMMANDS:
        if command in NOT_HERE:
            assert re.search(rf"^{command.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
            continue
        ran = shell(user, command, cwd=source)
        assert ran.returncode == 0, f"$ {command}\n{ran.stdout[-3000:]}\n{ran.stderr[-3000:]}"
        if command == "make up":
            assert (source / "runs/latest/report.html").stat().st_size > 10_000
            assert "stand-in" in ran.stdout


def test_what_the_readme_says_does_not_fit_does_not_fit(clone):
    user, source = clone
    (said,) = re.findall(r"try `(deploykit plan [^`]+)`", README)
    assert shell(user, said, cwd=source).returncode == 4


def test_the_readme_names_every_exit_code():
    from deploykit import errors

    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.DeploykitError)
    }
    table = README[README.index("## Exit codes") :]
    for code in codes | {0}:
        assert re.search(rf"\| {code} \|", table), code


def test_the_wheel_carries_what_it_needs_and_works_outside_of_the_checkout(make_user, engine_python, tmp_path):
    built = tmp_path / "built"
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(built), str(ROOT)], check=True, cwd=tmp_path
    )
    (wheel,) = built.glob("*.whl")
    user = make_user(tmp_path, tmp_path / "venv/bin/deploykit")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    install = [BIN / "uv", "pip", "install", "-q", "--python", tmp_path / "venv/bin/python", "--no-deps"]
    subprocess.run([*install, "--require-hashes", "-r", ROOT / "requirements.lock"], check=True, cwd=tmp_path)
    subprocess.run([*install, wheel], check=True, cwd=tmp_path)
    # It is found by a digest of the lock that the wheel brings; its installation is the README's.
    engines = user.home / ".local/share/deploykit/rehearsal/engines"
    engines.parent.mkdir(parents=True)
    engines.symlink_to(engine_python.parents[2])
    dry = user.json("up", "--dry-run", "nemotron-3-super", "--node", "b200-sxm-8x")
    assert dry["tasks"]
    arrived = user.json("up", "nemotron-3-super")
    try:
        assert arrived["measured_now"]
        assert (user.work / arrived["run"] / "report.html").exists()
    finally:
        assert user.run("down").returncode == 0
    assert user.processes() == []
