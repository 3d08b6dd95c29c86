"""Pieces are the wheels, cut: put together again elsewhere they are the same, in any order."""

import json

import pytest
import yaml

from tests.benchmarks.gpu.conftest import FOLDER

LIMIT = 1000
COPY_BYTES = 64 * 2**20


@pytest.fixture
def wheels(tmp_path):
    folder = tmp_path / "out" / "wheels"
    folder.mkdir(parents=True)
    for name, size in {"a-1-py3-none-any.whl": 2500, "b-2-py3-none-any.whl": 499, "c-3-py3-none-any.whl": 1}.items():
        (folder / name).write_bytes(bytes(number * 7919 % 251 for number in range(size)))
    return folder


@pytest.fixture
def made(script, wheels):
    pieces = script("pieces")
    found = pieces.manifest(wheels, pieces.pieces(pieces.sizes(wheels), LIMIT))
    pieces.write(found, wheels, wheels.parent)
    return found


def test_wheels_are_cut_every_so_many_bytes_the_largest_first(made, wheels) -> None:
    assert [piece["bytes"] for piece in made["pieces"]] == [1000, 1000, 1000]
    assert made["pieces"][0]["segments"] == [{"file": "a-1-py3-none-any.whl", "offset": 0, "bytes": 1000}]
    last = [(part["file"][0], part["offset"], part["bytes"]) for part in made["pieces"][2]["segments"]]
    assert last == [("a", 2000, 500), ("b", 0, 499), ("c", 0, 1)]


def test_the_same_wheels_give_the_same_pieces(script, made, wheels) -> None:
    pieces = script("pieces")
    assert pieces.manifest(wheels, pieces.pieces(pieces.sizes(wheels), LIMIT)) == made


def test_a_damaged_piece_is_written_again_and_a_left_over_one_goes(script, made, wheels) -> None:
    out = wheels.parent
    before = (out / "02" / "piece").read_bytes()
    (out / "02" / "piece").write_bytes(b"no")
    (out / "09").mkdir()
    (out / "09" / "piece").write_bytes(b"old")
    script("pieces").write(made, wheels, out)
    assert (out / "02" / "piece").read_bytes() == before
    assert not (out / "09").exists()


@pytest.mark.parametrize("order", [("01", "02", "03"), ("03", "01", "02"), ("02", "02", "03", "01")])
def test_pieces_come_together_in_any_order_one_at_a_time(script, made, wheels, tmp_path, order) -> None:
    assemble = script("assemble")
    store = tmp_path / "store"
    for name in order:
        manifest = assemble.newest(wheels.parent / name, store)
        piece = next(piece for piece in manifest["pieces"] if piece["name"] == name)
        if not assemble.taken(store, piece).exists():
            assemble.take(wheels.parent / name / "piece", piece, store)
    for wheel in wheels.iterdir():
        assert (store / "wheels" / wheel.name).read_bytes() == wheel.read_bytes()


def test_a_damaged_piece_is_not_taken(script, made, wheels, tmp_path, capsys) -> None:
    assemble = script("assemble")
    (wheels.parent / "01" / "piece").write_bytes(b"x" * 1000)
    assemble.take(wheels.parent / "01" / "piece", made["pieces"][0], tmp_path / "store")
    assert "damaged" in capsys.readouterr().out
    assert not assemble.taken(tmp_path / "store", made["pieces"][0]).exists()


def test_other_pieces_than_those_kept_begin_anew(script, made, wheels, tmp_path) -> None:
    assemble = script("assemble")
    store = tmp_path / "store"
    assemble.newest(wheels.parent, store)
    (store / "taken").mkdir()
    (wheels.parent / "manifest.json").write_text(json.dumps(made | {"format": "another"}))
    for folder in wheels.parent.glob("[0-9][0-9]"):
        (folder / "manifest.json").unlink()
    assert assemble.newest(wheels.parent, store)["format"] == "another"
    assert not (store / "taken").exists()


def test_the_lock_has_the_engine_and_what_is_not_carried_is_in_it(script) -> None:
    pieces = script("pieces")
    locked = pieces.requirements(pieces.LOCK.read_text())
    policy = yaml.safe_load(pieces.CARRIED.read_text())
    assert locked["vllm"].startswith("vllm==0.26.0")
    assert all("--hash=sha256:" in line for line in locked.values())
    assert policy["image"].keys() | policy["left_out"].keys() <= locked.keys()
    assert not policy["image"].keys() & policy["left_out"].keys()
    for name, version in policy["image"].items():
        if name.startswith(("torch", "triton")):
            assert f"=={version}" in locked[name], name
    wanted = pieces.carried(locked, policy)
    assert {"vllm", "locust", "pydantic", "transformers"} <= wanted.keys()
    assert not any(name.startswith("nvidia-cu") for name in wanted)


def test_a_piece_and_the_checkout_fit_a_copy(script) -> None:
    checkout = sum(
        path.stat().st_size
        for name in ("deploykit", "profiles", "playbooks", "loadtests", "benchmarks", "tests", "docs")
        for path in (FOLDER.parents[1] / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and "records" not in path.parts
    )
    assert script("pieces").PIECE_BYTES + checkout + 1_000_000 < COPY_BYTES
