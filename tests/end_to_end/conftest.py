"""One user for the tests of a module, who goes the road once."""

import os

import pytest


@pytest.fixture(scope="module")
def user(make_user, tmp_path_factory):
    """A user of this checkout's environment, with nothing installed."""
    user = make_user(tmp_path_factory.mktemp("user"))
    if "PYTHONPATH" in os.environ:  # this checkout need not be the one that is installed
        user.extra["PYTHONPATH"] = os.environ["PYTHONPATH"]
    return user
