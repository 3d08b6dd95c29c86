"""`deploykit prices refresh`: printed, never silent; one error without the package."""

import builtins
import json
import shutil

import pytest

from deploykit import paths


@pytest.fixture
def own_prices(tmp_path, monkeypatch):
    """A profile of the operator's own with a price that nobody asks for."""
    folder = tmp_path / "own" / "prices"
    folder.mkdir(parents=True)
    shipped = paths.shipped("profiles") / "prices" / "mistral-small-4.yaml"
    shutil.copy(shipped, folder)
    file = folder / shipped.name
    file.write_text(file.read_text(encoding="utf-8").replace('"0.15"', '"7.15"'), encoding="utf-8")
    monkeypatch.setenv("DEPLOYKIT_PROFILES", str(folder.parent))
    return file


def test_a_proposal_is_printed_and_written_only_when_asked(run, own_prices):
    pytest.importorskip("genai_prices")
    before = own_prices.read_text(encoding="utf-8")
    done = run("prices", "refresh")
    assert done.code == 0, done.err
    assert "mistral-small-4.yaml" in done.out
    assert "+++ b/" in done.out
    assert "nothing written" in done.err
    assert own_prices.read_text(encoding="utf-8") == before
    done = run("prices", "refresh", "--write")
    assert "written" in done.err
    after = own_prices.read_text(encoding="utf-8")
    assert after != before
    assert "genai-prices" in after
    assert "mistral-small-4.yaml" not in run("prices", "refresh").out
    assert run("prices", "mistral-small-4").code == 0


def test_the_proposal_as_data(run, own_prices):
    pytest.importorskip("genai_prices")
    data = json.loads(run("prices", "refresh", "--json").out)
    by_name = {each["offer"]: each for each in data["result"]}
    assert "+++ b/" in by_name["mistral-small-4"]["diff"]
    assert own_prices.name in by_name["mistral-small-4"]["file"]


def test_context_tiers_are_read_from_the_package(run):
    pytest.importorskip("genai_prices")
    data = json.loads(run("prices", "refresh", "--json").out)
    told = {each["offer"]: each["says"] for each in data["result"]}
    assert "is not in" not in told["openai-gpt-5.4"]


def test_without_the_package_there_is_one_clear_error(run, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("genai_prices"):
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    done = run("prices", "refresh")
    assert done.code == 2
    assert "`genai-prices` is not installed" in done.err
    assert "pip install 'deploykit[prices]'" in done.err


def test_write_alone_is_refused(run):
    done = run("prices", "--write")
    assert done.code == 2
    assert "goes with `deploykit prices refresh`" in done.err


def test_a_folder_that_is_not_there_is_an_error_and_not_made(run, tmp_path, monkeypatch):
    monkeypatch.setenv("DEPLOYKIT_PROFILES", str(tmp_path / "mistyped"))
    done = run("prices", "refresh", "--write")
    assert done.code == 2, done.err
    assert not (tmp_path / "mistyped").exists()
