import importlib.util
import sys
from pathlib import Path

import pytest

# importlib mode puts no test folder on the path; the loader is this folder's own.
_spec = importlib.util.spec_from_file_location("deploykit_test_modules", Path(__file__).with_name("modules.py"))
_modules = importlib.util.module_from_spec(_spec)
sys.modules["deploykit_test_modules"] = _modules
_spec.loader.exec_module(_modules)


@pytest.fixture(scope="session")
def module():
    """Load one of the playbooks' modules by its name."""
    return _modules.load


@pytest.fixture(scope="session")
def playbooks():
    """The folder of playbooks."""
    return _modules.PLAYBOOKS
