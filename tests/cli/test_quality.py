"""`deploykit quality` against servers that are processes: rates, tokens, dollars, what is kept, and what is not asked twice."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60
TASKS = [
    {"id": "sum", "prompt": "2+2?", "check": {"exact": "4"}},
    {"id": "city", "prompt": "Capital?", "check": {"regex": "Paris"}},
    {"id": "json", "prompt": "JSON?", "check": {"json_schema": {"type": "object"}}},
    {"id": "code", "prompt": "Code?", "check": {"tests": "assert f(1) == 2"}, "max_tokens": 300},
]
RIGHT = {
    "2+2?": {"text": "4", "output_tokens": 5},
    "Capital?": {"text": "Paris", "output_tokens": 5},
    "JSON?": {"text": "{}", "output_tokens": 5},
    "Code?": {"text": "```python\ndef f(x):\n    return x + 1\n```", "output_tokens": 25},
}


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    with closing(socket.socket()) as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def eventually(what, condition):
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    pytest.fail(f"never: {what}")


class Server:
    """An OpenAI-compatible server and what it was asked."""

    def __init__(self, folder: Path, answers: dict, key: str | None = None):
        folder.mkdir()
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.answers(answers)
        script = str(Path(__file__).with_name("chat_process.py"))
        environment = {"KEY": key} if key else {}
        self.process = subprocess.Popen([sys.executable, script, str(self.port), str(folder)], env=environment)
        eventually("the server listens", lambda: listens(self.port))

    def answers(self, answers: dict) -> None:
        (self.folder / "answers.json").write_text(json.dumps(answers))

    @property
    def asked(self) -> list:
        file = self.folder / "asked"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.fixture
def serve(tmp_path):
    made = []

    def one(answers=RIGHT, key=None):
        made.append(Server(tmp_path / f"server-{len(made)}", answers, key))
        return made[-1]

    yield one
    for server in made:
        server.process.kill()
        server.process.wait()


@pytest.fixture
def tasks(tmp_path):
    file = tmp_path / "tasks.jsonl"
    file.write_text("".join(f"{json.dumps(task)}\n" for task in TASKS))
    return str(file)


def result(folder="out"):
    return json.loads((Path(folder) / "quality.json").read_text())


def test_ours_and_an_api(run, serve, tasks):
    ours, api = serve({**RIGHT, "2+2?": {"text": "5", "output_tokens": 15}}), serve()
    ran = run("quality", tasks, "--url", ours.url, "--against", f"{api.url}/v1", "--offer", "openai-gpt-5.4", "--max-tokens",
              "100", "--temperature", "0", "--out", "out")  # fmt: skip
    assert ran.code == 0, ran.err
    one, other = result()["endpoints"]
    assert (one["passed"], one["wrong"], one["failed"], other["passed"]) == (3, 1, 0, 4)
    assert (one["output_tokens_per_solved"], other["output_tokens_per_solved"]) == (50 / 3, 10)
    # 4 answers of 60 fresh and 40 cached at $2.50 and $0.25, 40 output tokens at $15 per million.
    assert float(other["price"]["usd"]) == pytest.approx((4 * (60 * 2.5 + 40 * 0.25) + 40 * 15) / 1e6)
    assert one["price"] is None
    assert result()["differences"][0]["difference"] == pytest.approx(-0.25)
    assert result()["complete"]
    assert sorted(ours.asked) == sorted([[p, 300 if p == "Code?" else 100, 0] for p in RIGHT])
    assert "75.0%" in ran.out
    kept = Path("out/results.jsonl").read_text()
    assert not [prompt for prompt in RIGHT if prompt in kept]
    assert "return x" not in kept


def test_what_is_answered_is_not_asked_again_and_what_failed_is(run, serve, tasks):
    server = serve({**RIGHT, "JSON?": {"status": 400}})
    ran = run("quality", tasks, "--url", server.url, "--out", "out")
    assert ran.code == 0
    assert (result()["endpoints"][0]["failed"], result()["complete"]) == (1, False)
    server.answers(RIGHT)
    with Path("out/results.jsonl").open("a") as cut:
        cut.write('{"endpoint": "ours", "ta')
    assert run("quality", tasks, "--url", server.url, "--out", "out").code == 0
    assert [prompt for prompt, *_ in server.asked].count("JSON?") == 2
    assert len(server.asked) == 5
    assert (result()["endpoints"][0]["passed"], result()["complete"]) == (4, True)
    changed = run("quality", tasks, "--url", server.url, "--out", "out", "--runs", "2")
    assert changed.code == 2
    assert "holds the results of something else: of 1 runs, not 2" in changed.err


def test_ctrl_c_keeps_what_was_answered(serve, tasks, tmp_path):
    server = serve({**RIGHT, "Code?": {"seconds": 600}})
    command = [sys.executable, "-m", "deploykit", "quality", tasks, "--url", server.url, "--out", "out"]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    results = tmp_path / "out" / "results.jsonl"
    eventually("three answers", lambda: results.exists() and results.read_text().count("\n") == 3)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "what was answered is kept" in said
    assert "Traceback" not in said
    server.answers(RIGHT)
    again = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert len(server.asked) == 5
    assert result(tmp_path / "out")["complete"]


def test_keys_come_from_variables(run, serve, tasks, monkeypatch):
    ours, api = serve(key="sk-ours"), serve(key="sk-api")
    monkeypatch.setenv("OUR_KEY", "sk-ours")
    monkeypatch.setenv("API_KEY_OF_ACME", "sk-api")
    ran = run("quality", tasks, "--url", ours.url, "--model", "mixtress", "--key-env", "OUR_KEY", "--against", api.url,
              "--against-model", "mixtress", "--against-key-env", "API_KEY_OF_ACME", "--out", "out")  # fmt: skip
    assert ran.code == 0, ran.err
    assert [one["passed"] for one in result()["endpoints"]] == [4, 4]
    assert not [file for file in Path("out").iterdir() if "sk-" in file.read_text()]
    assert run("quality", tasks, "--url", ours.url, "--key-env", "NOWHERE").code == 2


def test_nothing_answered_is_an_error(run, serve, tasks):
    server = serve({"*": {"status": 403}})
    ran = run("quality", tasks, "--url", server.url, "--out", "out")
    assert ran.code == 7
    assert "answered none of 4 questions" in ran.err
    assert "HTTP 403" in ran.err


def test_a_server_without_usage_has_no_tokens_and_no_dollars(run, serve, tasks):
    server = serve({prompt: {**said, "no_usage": True} for prompt, said in RIGHT.items()})
    ran = run("quality", tasks, "--url", server.url, "--offer", "openai-gpt-5.4", "--out", "out", "--json")
    (one,) = json.loads(ran.out)["result"]["endpoints"]
    assert (one["passed"], one["output_tokens"], one["price"]) == (4, None, None)
    assert {c["code"] for c in result()["caveats"]} == {"quality-unpriced", "quality-no-usage"}


def test_two_results_compared(run, serve, tasks):
    long = serve({prompt: {**said, "output_tokens": said["output_tokens"] * 3} for prompt, said in RIGHT.items()})
    run("quality", tasks, "--url", serve().url, "--out", "short")
    run("quality", tasks, "--url", long.url, "--out", "long")
    found = json.loads(run("quality", "compare", "short", "long", "--json").out)["result"]
    assert (found["ratio"], found["tasks"]) == (pytest.approx(1 / 3), 4)
    assert "0.33 times as many" in run("quality", "compare", "short", "long").out
    assert run("quality", "compare", "short", "nowhere").code == 3
    assert run("quality", "compare", "short", "long:api-1").code == 3


def test_ours_and_the_apis_answers_compared(run, serve, tasks):
    wordy = serve({prompt: {**said, "output_tokens": said["output_tokens"] * 2} for prompt, said in RIGHT.items()})
    run("quality", tasks, "--url", serve().url, "--against", wordy.url, "--out", "out")
    found = json.loads(run("quality", "compare", "out", "out:api-1", "--json").out)["result"]
    assert found["ratio"] == pytest.approx(0.5)
    assert json.loads(run("quality", "compare", "out:api-1", "out:ours", "--json").out)["result"]["ratio"] == 2


def test_damage_is_told_with_its_line(run, serve, tasks):
    server = serve()
    run("quality", tasks, "--url", server.url, "--out", "out")
    results = Path("out/results.jsonl")
    results.write_text(results.read_text().replace('"passed"', '"perhaps"', 1))
    ran = run("quality", tasks, "--url", server.url, "--out", "out")
    assert ran.code == 10
    assert "results.jsonl:1" in ran.err


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        ((), 2, "what to ask is a task file"),
        (("tasks.jsonl",), 2, "nobody to ask"),
        (("nowhere.jsonl", "--url", "http://127.0.0.1:9", "--model", "m"), 3, "nowhere.jsonl cannot be read"),
        (("tasks.jsonl", "--url", "http://127.0.0.1:9"), 7, "does not answer"),
        (("a", "b", "--url", "http://127.0.0.1:9"), 2, "what to ask is a task file"),
        (("compare", "a"), 2, "takes two folders"),
        (("tasks.jsonl", "--url", "http://x", "--against", "http://y", "--offer", "a", "--offer", "b"), 2, "--offer is there 2 times"),
        (("tasks.jsonl", "--url", "http://x", "--offer", "a", "--offer", "b"), 2, "one price"),
        (("tasks.jsonl", "--url", "http://x", "--model", "m", "--run", "nowhere"), 3, "there is no run"),
        (("--inspect", "task.py", "tasks.jsonl", "--url", "http://x"), 2, "what to ask is a task file"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_one_error(run, args, code, says):
    ran = run("quality", *args)
    assert (ran.code, says in ran.err) == (code, True), ran.err
