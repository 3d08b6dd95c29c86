"""One user for the tests of a module, who goes the road once."""

import pytest


@pytest.fixture(scope="module")
def user(make_user, tmp_path_factory):
    """A user of this checkout's environment, with nothing installed."""
    return make_user(tmp_path_factory.mktemp("user"))
