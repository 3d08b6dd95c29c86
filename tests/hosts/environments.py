"""What lies on a host in the place of an installed engine, so that the download of the engine alone is left out."""

import hashlib
import json
import shutil
from pathlib import Path

from deploykit.effects.yaml_files import YamlCatalog
from deploykit.paths import shipped


def name() -> str:
    """Return the name that the playbooks give the CPU engine's environment: by its lock, sources and Python."""
    catalog = YamlCatalog(shipped("profiles"))
    engine = catalog.engine(catalog.names("engines")[-1])
    build = engine.cpu
    assert build is not None
    lock = (shipped("profiles") / "engines" / build.lock).read_text().rstrip() if build.lock else ""
    fields = {"name", "kind", "url", "requirement", "torch_index"}
    sources = json.dumps([one.model_dump(mode="json", include=fields) for one in build.sources], sort_keys=True)
    told = hashlib.sha256(f"{lock}{sources}{build.python}".encode()).hexdigest()[:12]
    return f"cpu-{engine.version}-{told}"


def double(folder: Path) -> dict[str, Path]:
    """Make an environment whose `vllm` is the engine's double; return where it belongs under deploykit's folder."""
    shutil.copytree(shipped("profiles") / "engines/cpu-shim", folder / "lib/python3.11/site-packages")
    (folder / "bin").mkdir()
    shutil.copy(Path(__file__).with_name("engine_double.py"), folder / "bin/vllm")
    (folder / "bin/vllm").chmod(0o755)
    return {f"engines/{name()}": folder}
