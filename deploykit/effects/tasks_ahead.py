"""A program that Ansible's own classes do the work of: which tasks of a playbook each host would run, as JSON.

`python -m deploykit.effects.tasks_ahead` with the arguments of ansible-playbook. It connects to nothing: conditions are
held against the variables that are known beforehand, and one that asks for what only a host tells leaves its task open.
"""

import json
import sys
from typing import Any

from ansible.cli import CLI
from ansible.cli.playbook import PlaybookCLI
from ansible.executor.playbook_executor import PlaybookExecutor
from ansible.playbook.block import Block
from ansible.template import Templar


class Asking(PlaybookCLI):  # type: ignore[misc]  # Ansible has no types
    """The command line of ansible-playbook, which with --list-tasks reads everything and runs nothing."""

    def run(self) -> int:
        """Print {host: [[role and task, whether it is sure to run]]}, in the order of the plays."""
        CLI.run(self)
        loader, inventory, variables = self._play_prereqs()
        executor = PlaybookExecutor([self.args[-1]], inventory, variables, loader, {})
        found: dict[str, list[tuple[str, bool]]] = {}
        for playbook in executor.run():
            for play in playbook["plays"]:
                blocks = play.compile()
                for host in inventory.get_hosts(play.hosts):
                    for task in (task for block in blocks for task in _tasks(block)):
                        known = variables.get_vars(play=play, host=host, task=task)
                        runs = _runs(task.when, Templar(loader, variables=known))
                        if runs is not False:
                            found.setdefault(host.name, []).append((_name(task), runs is True))
        sys.stdout.write(json.dumps(found))
        return 0


def _tasks(block: Any) -> list[Any]:  # noqa: ANN401 - Ansible has no types
    inner = [_tasks(part) if isinstance(part, Block) else [part] for part in block.block]
    return [task for tasks in inner for task in tasks if not task.implicit]


def _name(task: Any) -> str:  # noqa: ANN401
    return str(task.get_name() if task.name else task.action)


def _runs(conditions: list[Any], templar: Templar) -> bool | None:
    """Return whether all conditions hold; None if none fails, but one asks for what is not known yet."""
    answers: list[bool | None] = []
    for condition in conditions:
        try:
            answers.append(bool(templar.evaluate_conditional(condition)))
        except Exception:
            answers.append(None)
    return False if False in answers else None if None in answers else True


if __name__ == "__main__":
    asking = Asking(["ansible-playbook", "--list-tasks", *sys.argv[1:]])
    asking.parse()
    sys.exit(asking.run())
