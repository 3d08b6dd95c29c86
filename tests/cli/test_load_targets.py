"""Addresses as people paste them, and what is said of servers that serve none or several models."""

import socket

import pytest

from deploykit.cli.load_targets import _slug, base_url_of, only_model
from deploykit.errors import UsageError
from tests.loadtests.servers import paced


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("http://host:8000", "http://host:8000"),
        ("http://host:8000/", "http://host:8000"),
        ("https://api.example.org/v1", "https://api.example.org"),
        ("https://api.example.org/v1/chat/completions", "https://api.example.org"),
        ("https://api.example.org/openai/v1/", "https://api.example.org/openai"),
        ("http://[fd00::1]:8000/v1", "http://[fd00::1]:8000"),
    ],
)
def test_the_end_that_people_paste_along_is_left_out(given: str, address: str) -> None:
    assert base_url_of(given) == address


def test_of_several_models_one_has_to_be_named() -> None:
    assert only_model(("a",), "http://h") == "a"
    with pytest.raises(UsageError, match="serves 2 models") as caught:
        only_model(("a", "b"), "http://h")
    assert caught.value.hint == "choose one with --model: a, b"
    with pytest.raises(UsageError, match="serves 0 models"):
        only_model((), "http://h")
    assert "and more" in str(_refusal(tuple(map(str, range(11)))).hint)


def _refusal(models: tuple[str, ...]) -> UsageError:
    with pytest.raises(UsageError) as caught:
        only_model(models, "http://h")
    return caught.value


def test_a_model_is_named_in_a_folders_name_without_what_a_path_takes_amiss() -> None:
    assert _slug("acme/Mixtress 120B:fp8") == "acme-Mixtress-120B-fp8"
    assert _slug("../..") == "unnamed"
    assert len(_slug("x" * 200)) == 60


def test_several_models_are_named_by_the_command(run) -> None:
    with paced(models=["one", "two"]) as url:
        ran = run("loadtest", url)
    assert ran.code == 2
    assert "choose one with --model: one, two" in ran.err


@pytest.mark.parametrize(
    ("options", "path", "says"),
    [
        ({}, "/nowhere", "HTTP 404"),
        ({"fault": "http_401"}, "", "set DEPLOYKIT_API_KEY"),
    ],
)
def test_a_server_that_tells_no_models_is_one_error(run, options: dict[str, str], path: str, says: str) -> None:
    with paced(**options) as url:
        ran = run("loadtest", url + path)
    assert ran.code == 7
    assert says in ran.err


def test_nobody_at_the_address_is_one_error(run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    ran = run("loadtest", f"http://127.0.0.1:{port}")
    assert ran.code == 7
    assert "does not answer: " in ran.err
    assert "is the address right?" in ran.err
