"""Hosts of an inventory, or the one error that says what is wrong with it, and where."""

import pytest

from deploykit.effects.inventory import read_hosts
from deploykit.errors import UsageError


def test_hosts_have_their_addresses(tmp_path):
    file = tmp_path / "hosts.ini"
    file.write_text("[nodes]\na ansible_host=192.0.2.1\nb\n")
    assert read_hosts(file) == {"a": "192.0.2.1", "b": "b"}


@pytest.mark.parametrize(
    ("name", "text", "says", "line"),
    [
        ("broken.yml", "nodes:\n  hosts:\n    a: {ansible_become_password: hunter2\n  b: x\n", "is no YAML: ", 4),
        ("indent.yml", "nodes:\n  hosts:\n    a:\n      ansible_become_password: hunter2\n   b:\n", "is no YAML: ", 5),
        ("tab.yaml", "nodes:\n\thosts: {a: {ansible_become_password: hunter2}}\n", "is no YAML: ", 2),
        ("broken.ini", "[nodes\na ansible_become_password=hunter2\n", "is no inventory Ansible can read", None),
        ("list.yml", "nodes:\n  - a\n", "has no host in its group `nodes`", None),
        ("other.yml", "gpus: {hosts: {a: {}}}\n", "has no host in its group `nodes`", None),
        ("empty.yml", "", "has no host in its group `nodes`", None),
        ("word.ini", "[nodes]\na ansible_host=1 hunter2\n", "is no inventory Ansible can read", None),
        ("vars.ini", "[nodes:vars]\nansible_become_password hunter2\n", "is no inventory Ansible can read", None),
        ("quote.ini", "[nodes]\na ansible_become_password='hunter2\n", "is no inventory Ansible can read", None),
    ],
)
def test_a_broken_inventory_says_what_is_wrong_and_where(tmp_path, name, text, says, line):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_hosts(file)
    assert caught.value.what.startswith(f"{file} {says}")
    assert (caught.value.where.line if caught.value.where else None) == line
    assert "hunter2" not in str(caught.value)


def test_a_group_of_another_name_and_one_of_another_form_are_told(tmp_path):
    file = tmp_path / "hosts.yml"
    file.write_text("gpus: {hosts: {a: {}}}\n")
    with pytest.raises(UsageError, match="its groups are `gpus`"):
        read_hosts(file)
    file.write_text("nodes:\n  - a\n")
    with pytest.raises(UsageError, match="Skipping 'nodes' as this is not a valid group definition"):
        read_hosts(file)
