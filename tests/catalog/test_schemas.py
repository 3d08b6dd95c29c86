"""The schemas that editors use: current, and in agreement with the models about every shipped file."""

import json
import runpy

import jsonschema
import pytest
from jsonschema import Draft202012Validator

from deploykit.catalog.schemas import SCHEMAS
from deploykit.effects.yaml_files import KINDS, load_yaml

from .conftest import PROFILES

KIND_OF = {kind: name for name, model in SCHEMAS.items() for kind, other in KINDS.items() if other is model}
FILES = sorted(path for kind in KINDS for path in (PROFILES / kind).glob("*.yaml"))


def validator(kind: str) -> Draft202012Validator:
    schema = json.loads((PROFILES / "schemas" / f"{kind}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_schemas_are_current() -> None:
    made = runpy.run_path(str(PROFILES.parent / "scripts" / "schemas.py"))["schema_files"]()
    for name, text in made.items():
        assert (PROFILES / "schemas" / name).read_text(encoding="utf-8") == text, f"{name}: run `make schemas`"
    assert {path.name for path in (PROFILES / "schemas").iterdir()} == set(made)


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_shipped_file_is_valid_and_names_its_schema(path) -> None:
    kind = KIND_OF[path.parent.name]
    validator(kind).validate(load_yaml(path).data)
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first == f"# yaml-language-server: $schema=../schemas/{kind}.schema.json"


def test_an_editor_marks_what_the_loader_refuses() -> None:
    price = load_yaml(PROFILES / "prices" / "deepseek-v4-pro.yaml").data
    check = validator("price")
    for wrong in ({"provder": "x"}, {"periods": []}, {"status": "gone"}, {"title": 5}):
        with pytest.raises(jsonschema.ValidationError):
            check.validate({**price, **wrong})
    without_provider = {key: value for key, value in price.items() if key != "provider"}
    with pytest.raises(jsonschema.ValidationError, match="'provider' is a required property"):
        check.validate(without_provider)
    price["periods"][1]["peak_windows"][0]["start"] = "25:00"
    with pytest.raises(jsonschema.ValidationError):
        check.validate(price)


def test_the_intent_files_keys_may_all_be_left_out() -> None:
    check = validator("intent")
    check.validate({})
    check.validate({"model": "deepseek-v4-flash"})
    with pytest.raises(jsonschema.ValidationError):
        check.validate({"modle": "deepseek-v4-flash"})
