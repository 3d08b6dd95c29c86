"""Paced servers, each in a process of its own, for as long as a test wants them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PACED = Path(__file__).with_name("paced_server.py")


@contextmanager
def paced(**options: Any) -> Iterator[str]:
    """Serve with these options; gives the address."""
    command = [sys.executable, str(PACED), json.dumps(options)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            scheme = "https" if options.get("tls") else "http"
            yield f"{scheme}://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.kill()
