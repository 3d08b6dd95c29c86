"""Reading catalogue files from folders: the shipped one, the operator's own, and files that cannot be read."""

import shutil
from pathlib import Path

import pytest
import yaml

from deploykit.catalog.node import Node
from deploykit.catalog.workload import TraceReplay, Workload
from deploykit.effects.yaml_files import YamlCatalog, load_yaml, load_yaml_model, shown
from deploykit.errors import CatalogError

PROFILES = Path(__file__).parents[2] / "profiles"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An operator's own folder with one changed workload and one new one."""
    folder = tmp_path / "own" / "workloads"
    folder.mkdir(parents=True)
    chat = (PROFILES / "workloads" / "chat.yaml").read_text(encoding="utf-8")
    (folder / "chat.yaml").write_text(chat.replace("title: Chat", "title: Our chat"), encoding="utf-8")
    shutil.copy(PROFILES / "workloads" / "reasoning.yaml", folder / "proofs.yaml")
    return tmp_path / "own"


def failure(path: Path) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        load_yaml(path)
    return caught.value


def test_the_name_of_an_entry_is_its_files() -> None:
    assert YamlCatalog(PROFILES).model("gpt-5.4").name == "gpt-5.4"


def test_every_kind_loads_by_name() -> None:
    catalog = YamlCatalog(PROFILES)
    assert catalog.node("local").gpu is None
    assert catalog.workload("rehearsal").rehearsal_only
    assert catalog.price("mistral-small-4").serves == "mistral-small-4"
    assert catalog.standin("mla-moe").stand_in is not None
    engine = catalog.engine("vllm-0.32")
    assert catalog.flags(engine).vllm == engine.version == "0.32.0"


def test_names_are_sorted_and_of_one_kind() -> None:
    names = YamlCatalog(PROFILES).names("workloads")
    assert list(names) == sorted(names)
    assert "chat" in names
    assert "local" not in names
    with pytest.raises(ValueError, match="no such kind"):
        YamlCatalog(PROFILES).names("../models")


def test_an_unknown_name_says_what_may_be_meant() -> None:
    with pytest.raises(CatalogError, match="there is no node `h200-smx-8x`") as caught:
        YamlCatalog(PROFILES).node("h200-smx-8x")
    assert "did you mean `h200-sxm-8x`" in caught.value.hint


def test_a_path_is_no_name() -> None:
    with pytest.raises(CatalogError, match="there is no node"):
        YamlCatalog(PROFILES).node("../workloads/chat")


def test_the_operators_own_files_lie_over_the_shipped_ones(own: Path) -> None:
    catalog = YamlCatalog(PROFILES, extra=own)
    assert catalog.workload("chat").title.startswith("Our chat")
    assert catalog.workload("proofs").name == "proofs"
    assert catalog.workload("rehearsal").rehearsal_only
    assert set(catalog.names("workloads")) == {*YamlCatalog(PROFILES).names("workloads"), "proofs"}
    assert catalog.path("workloads", "chat").is_relative_to(own)


def test_an_own_folder_that_is_not_there_is_no_mistake(tmp_path: Path) -> None:
    assert YamlCatalog(PROFILES, extra=tmp_path / "none").workload("chat").title.startswith("Chat")


def test_a_broken_file_does_not_hinder_the_others(own: Path) -> None:
    (own / "workloads" / "broken.yaml").write_text("titel: x\n", encoding="utf-8")
    catalog = YamlCatalog(PROFILES, extra=own)
    assert catalog.workload("chat").name == "chat"
    with pytest.raises(CatalogError, match="unknown key `titel`") as caught:
        catalog.workload("broken")
    assert caught.value.where.line == 1
    assert caught.value.where.file.endswith("broken.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert failure(tmp_path / "none.yaml").what == "there is no such file"


def test_what_only_looks_like_a_profile_is_named(own: Path) -> None:
    (own / "workloads" / "folder.yaml").mkdir()
    (own / "workloads" / "gone.yaml").symlink_to("nowhere")
    catalog = YamlCatalog(PROFILES, extra=own)
    for name, says in (("folder", "cannot be read"), ("gone", "there is no such file")):
        with pytest.raises(CatalogError, match=says) as caught:
            catalog.workload(name)
        assert caught.value.where.file.endswith(f"{name}.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "cannot be read" in failure(tmp_path).what


def test_text_in_another_encoding_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes("a: 1\nb: é\n".encode("latin-1"))
    error = failure(file)
    assert error.what == "the file is not UTF-8 text: byte 0xe9 in line 2"
    assert error.where.line == 2


def test_a_file_that_is_far_too_large_is_not_parsed(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text("# comment\n" * 200_000)
    assert "larger than 1 MiB" in failure(file).what
    if Path("/dev/zero").exists():
        assert "larger than 1 MiB" in failure(Path("/dev/zero")).what


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert load_yaml(file).data == {"a": 1}


def test_a_general_model_with_injected_fields(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    shutil.copy(PROFILES / "workloads" / "chat.yaml", file)
    assert load_yaml_model(file, Workload, name="mine").name == "mine"
    with pytest.raises(CatalogError, match="unknown key `source`"):
        load_yaml_model(file, Node, name="mine")


def test_a_flag_table_of_another_form_says_how_to_make_it_again(tmp_path: Path) -> None:
    folder = tmp_path / "engines"
    folder.mkdir()
    shutil.copy(PROFILES / "engines" / "vllm-0.32.yaml", folder)
    catalog = YamlCatalog(tmp_path)
    engine = catalog.engine("vllm-0.32")
    with pytest.raises(CatalogError, match="there is no such file"):
        catalog.flags(engine)
    (folder / engine.flag_table).write_text('{"vllm": "0.32.0", "flags": {"x": {"sort": "int"}}, "extra": {}}')
    with pytest.raises(CatalogError, match="flag table cannot be used") as caught:
        catalog.flags(engine)
    assert caught.value.where.key == "flags.x.sort"
    assert "make engine-flags" in caught.value.hint


def test_paths_are_shown_as_one_would_type_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(tmp_path / "a" / "b.yaml") == "a/b.yaml"
    assert shown(Path("/elsewhere/b.yaml")) == "/elsewhere/b.yaml"


def test_a_workloads_files_begin_at_its_own_and_have_to_be_there(tmp_path: Path) -> None:
    folder = tmp_path / "workloads"
    folder.mkdir()
    shipped = yaml.safe_load((PROFILES / "workloads" / "rehearsal.yaml").read_text())
    stage = {"kind": "trace", "file": "../t.csv", "duration_s": 60}
    (folder / "mine.yaml").write_text(yaml.safe_dump(shipped | {"shared_prefix": None, "stages": [stage]}))
    with pytest.raises(CatalogError, match=r"there is no file .*t\.csv") as error:
        YamlCatalog(tmp_path).workload("mine")
    assert "stages[0].file" in str(error.value)
    (tmp_path / "t.csv").write_text("")
    (found,) = YamlCatalog(tmp_path).workload("mine").stages
    assert isinstance(found, TraceReplay)
    assert Path(found.file).resolve() == tmp_path / "t.csv"
