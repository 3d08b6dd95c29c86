"""What is said of a file that cannot be read: its path once, and no byte of it."""

from pathlib import Path

import pytest

from deploykit.effects.files import reason
from deploykit.effects.gateway_secrets import with_gateway
from deploykit.effects.operator_secrets import OperatorSecrets
from deploykit.effects.secret_command import SecretCommands
from deploykit.errors import UsageError
from deploykit.intent import CallerIntent, GatewayIntent


def read_key(file):
    caller = CallerIntent(name="a", file=str(file))
    with_gateway({}, GatewayIntent(keys=(caller,)), SecretCommands())


@pytest.mark.parametrize("read", [read_key, lambda file: OperatorSecrets({"api_key_file": file}).read("DEPLOYKIT_API_KEY")])  # fmt: skip
def test_a_file_that_cannot_be_read_is_named_once(read, tmp_path):
    file = tmp_path / "key"
    for make, why in ((None, "No such file or directory"), (b"\xe9", "it is not UTF-8 text")):
        if make:
            file.write_bytes(make)
        with pytest.raises(UsageError) as caught:
            read(file)
        said = caught.value.what
        assert said.count(str(file)) == 1
        assert said.endswith(why)
        assert "Errno" not in said


def test_a_reason_is_always_given():
    assert reason(OSError("something")) == "something"
    assert reason(FileNotFoundError(2, "No such file or directory", str(Path("x")))) == "No such file or directory"
