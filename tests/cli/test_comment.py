"""`deploykit comment` against a stand-in of the code hosts' APIs: one comment, whatever goes wrong on the way."""

import importlib.util
import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from deploykit.reporting.gate_comment import marker
from tests.gating.builders import gate_of, throughputs

FILE = Path(__file__).parents[1] / "effects" / "code_host.py"
_spec = importlib.util.spec_from_file_location("code_host", FILE)
code_host = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(code_host)

GATE = gate_of(throughputs(1000, 1001, 999), throughputs(800, 801, 799))
OTHER = gate_of(throughputs(1000, 1001, 999), throughputs(1000, 1001, 999))


class Host:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path, value=None):
        data = None if value is None else json.dumps(value).encode()
        with urllib.request.urlopen(f"{self.url}{path}", data=data, timeout=10) as answer:
            return json.load(answer)

    def set(self, **values):
        self.ask("/_set", values)

    @property
    def bodies(self):
        return [comment["body"] for comment in self.ask("/_state")["comments"]]

    @property
    def seen(self):
        return [f"{method} {path}" for method, path in self.ask("/_state")["seen"]]


@pytest.fixture
def host(monkeypatch):
    process = subprocess.Popen([sys.executable, str(FILE)], stdout=subprocess.PIPE, text=True)
    try:
        found = Host(int(process.stdout.readline()))
        for name in ("GITLAB_CI", "GITHUB_REPOSITORY", "CI_PROJECT_PATH", "CI_MERGE_REQUEST_IID", "GH_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("GITHUB_API_URL", found.url)
        monkeypatch.setenv("CI_API_V4_URL", found.url)
        for name in ("GITHUB_TOKEN", "GITLAB_TOKEN"):
            monkeypatch.setenv(name, code_host.TOKEN)
        yield found
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def waits(monkeypatch):
    """How long was waited, without waiting."""
    waited = []
    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setattr("deploykit.effects.rest.Rest.__init__.__kwdefaults__", {"sleep": waited.append}, raising=False)
    return waited


@pytest.fixture
def files(run):
    Path("gate.json").write_text(GATE.as_json())
    Path("other.json").write_text(OTHER.as_json())


@pytest.fixture(params=["github", "gitlab"])
def post(request, run, host, files, waits):
    return lambda *more, file="gate.json": run(
        "comment", "--gate", file, "--host", request.param, "--repo", "o/r", "--pr", "7", *more
    )


def test_the_first_time_a_comment_is_posted(post, host):
    ran = post()
    assert ran.code == 0, ran.err
    assert "comment created" in ran.err
    (body,) = host.bodies
    assert body.startswith(marker(GATE))
    assert "Regression" in body


def test_the_next_time_it_is_edited(post, host):
    assert post().code == 0
    ran = post(
        file="other.json",
    )
    assert "comment updated" in ran.err
    (body,) = host.bodies
    assert "No change beyond the margins" in body


def test_the_same_text_is_left_alone(post, host):
    post()
    ran = post("--json")
    assert json.loads(ran.out)["result"]["what"] == "unchanged"
    assert not [line for line in host.seen if line.startswith(("PATCH", "PUT"))]
    assert len(host.bodies) == 1


def test_what_the_host_did_to_line_ends_is_no_change(post, host):
    post()
    host.set(comments=[code_host.comment(1, "deploykit-bot", host.bodies[0].replace("\n", "\r\n"))])
    assert "comment unchanged" in post().err


def test_a_comment_on_a_later_page_is_found(post, host):
    others = [code_host.comment(i, "somebody", f"talk {i}") for i in range(1, 251)]
    host.set(comments=[*others, code_host.comment(251, "deploykit-bot", f"{marker(GATE)}\nold")])
    assert "comment updated" in post().err
    assert len(host.bodies) == 251
    assert sum("per_page=100" in line for line in host.seen) == 3


def test_a_full_last_page_is_the_end(post, host):
    host.set(comments=[code_host.comment(i, "somebody", f"talk {i}") for i in range(1, 201)])
    assert "comment created" in post().err
    assert len(host.bodies) == 201


def test_somebody_elses_comment_with_our_marker_is_left_alone(post, host):
    host.set(comments=[code_host.comment(1, "mallory", f"{marker(GATE)}\nall is well")])
    assert "comment created" in post().err
    assert host.bodies[0].endswith("all is well")
    assert len(host.bodies) == 2


def test_a_comment_that_quotes_the_marker_is_not_it(post, host):
    host.set(comments=[code_host.comment(1, "deploykit-bot", f"> {marker(GATE)}")])
    assert "comment created" in post().err


def test_another_target_has_another_comment(post, host):
    other = GATE.model_copy(update={"target": "another model"})
    Path("other.json").write_text(other.as_json())
    post()
    assert "comment created" in post(file="other.json").err
    assert len(host.bodies) == 2


def test_a_workflows_own_token_may_not_ask_who_it_is(run, host, files, waits):
    host.set(user_status=403, me="github-actions[bot]")
    for what in ("created", "unchanged"):
        ran = run("comment", "--gate", "gate.json", "--repo", "o/r", "--pr", "7")
        assert (ran.code, f"comment {what}" in ran.err) == (0, True), ran.err


@pytest.mark.parametrize("status", [500, 502, 503, 0])
def test_a_host_that_fails_for_a_while_is_asked_again(post, host, waits, status):
    host.set(fail=[{"method": "GET", "status": status}, {"method": "POST", "status": status}])
    ran = post()
    assert ran.code == 0, ran.err
    assert len(host.bodies) == 1
    assert waits == [1.0, 4.0]


def test_what_was_posted_before_the_answer_was_lost_is_not_posted_again(post, host, waits):
    host.set(fail=[{"method": "POST", "status": 502, "after": True}])
    ran = post()
    assert ran.code == 0
    assert len(host.bodies) == 1
    assert "comment unchanged" in ran.err


def test_a_host_that_keeps_failing_is_one_error(post, host, waits):
    host.set(fail=[{"method": "GET", "status": 503} for _ in range(9)])
    ran = post()
    assert ran.code == 25
    assert "503" in ran.err
    assert waits == [1.0, 4.0, 15.0]
    assert host.bodies == []


@pytest.mark.parametrize(
    ("answer", "waited"),
    [
        ({"status": 429, "headers": {"Retry-After": "7"}}, 7.0),
        ({"status": 403, "headers": {"Retry-After": "3"}}, 3.0),
        ({"status": 403, "headers": {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "soon"}}, 1.0),
        ({"status": 429}, 60.0),
    ],
)
def test_a_rate_limit_is_waited_for(post, host, waits, answer, waited):
    host.set(fail=[{"method": "POST", **answer}])
    ran = post()
    assert ran.code == 0, ran.err
    assert waits == [pytest.approx(waited, abs=1.5)]
    assert len(host.bodies) == 1


def test_a_rate_limit_of_an_hour_is_an_error(post, host, waits):
    host.set(fail=[{"method": "GET", "status": 403, "headers": {"Retry-After": "3600"}}])
    ran = post()
    assert ran.code == 25
    assert "3,600 s more" in ran.err
    assert waits == []


@pytest.mark.parametrize(
    ("status", "says"),
    [(403, "pull-requests: write"), (404, "wrong repository or number"), (422, "does not take this text"), (301, "has moved")],
)  # fmt: skip
def test_a_refusal_is_one_error_with_its_mend(post, host, waits, status, says):
    host.set(fail=[{"method": "POST", "status": status, "headers": {"Location": "http://127.0.0.1:9/"}}])
    ran = post()
    assert ran.code == 25
    assert str(status) in ran.err
    assert says in ran.err
    assert waits == []
    assert code_host.TOKEN not in ran.err + ran.out


def test_a_wrong_token_is_said_and_not_shown(post, host, monkeypatch):
    for name in ("GITHUB_TOKEN", "GITLAB_TOKEN"):
        monkeypatch.setenv(name, "wrong-token-4711")
    ran = post()
    assert ran.code == 25
    assert "wrong or has expired" in ran.err
    assert "4711" not in ran.err + ran.out


def test_a_wrong_number_is_an_error(run, host, files, waits):
    ran = run("comment", "--gate", "gate.json", "--repo", "o/r", "--pr", "8")
    assert ran.code == 25
    assert "404" in ran.err


@pytest.mark.parametrize("value", ["no json", [1, 2], {"id": "x"}, {"a": 1}])
def test_an_answer_that_is_none_is_an_error(post, host, waits, value):
    host.set(fail=[{"method": "GET", "path": "comments|notes", "status": 200, "value": value}])
    ran = post()
    assert ran.code == 25
    assert "Traceback" not in ran.err


def test_only_what_was_measured_is_commented(post, host):
    assert post("--head-sha", "a" * 40).code == 0
    ran = post("--head-sha", "b" * 40, file="other.json")
    assert ran.code == 25
    assert "proposes aaaaaaaaaaaa now, and what was measured is bbbbbbbbbbbb" in ran.err
    assert len(host.bodies) == 1


def test_quiet_is_one_line_where_nothing_changed(post, host):
    assert post("--quiet", file="other.json").code == 0
    assert len(host.bodies[0].strip().splitlines()) == 2
    post("--quiet")
    assert "| verdict |" in host.bodies[0]


def test_in_a_gitlab_pipeline_everything_is_known(run, host, files, monkeypatch):
    for name, value in (("GITLAB_CI", "true"), ("CI_PROJECT_PATH", "o/r"), ("CI_MERGE_REQUEST_IID", "7")):
        monkeypatch.setenv(name, value)
    assert run("comment", "--gate", "gate.json").code == 0
    assert len(host.bodies) == 1


@pytest.mark.parametrize(
    ("arguments", "variables", "says"),
    [
        ([], {}, "no repository was named"),
        (["--repo", "o/r"], {}, "no pull request was named"),
        (["--repo", "o/../r", "--pr", "7"], {}, "is no repository"),
        (["--repo", "o/r?x", "--pr", "7"], {}, "is no repository"),
        (["--repo", "o/r", "--pr", "0"], {}, "--pr"),
        (["--repo", "o/r", "--pr", "7"], {"GITHUB_TOKEN": ""}, "GITHUB_TOKEN is not set"),
        (["--repo", "o/r", "--pr", "7"], {"GITHUB_TOKEN": "a\nb"}, "cannot carry"),
        (["--repo", "o/r", "--pr", "7"], {"GITHUB_API_URL": "http://api.example"}, "plain HTTP"),
        (["--repo", "o/r", "--pr", "7"], {"GITHUB_API_URL": "ftp://api.example"}, "no https address"),
        (["--repo", "o/r", "--pr", "7"], {"GITHUB_API_URL": "https://u:p@api.example"}, "no https address"),
    ],
)
def test_what_is_missing_or_wrong_is_said_before_anybody_is_asked(
    run, host, files, monkeypatch, arguments, variables, says
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ran = run("comment", "--gate", "gate.json", *arguments)
    assert ran.code == 2, ran.err
    assert says in ran.err
    assert host.seen == []


@pytest.mark.parametrize("content", ["", "{}", '{"format": "deploykit/gate/1"}', "[" * 5000, '{"x": 1}'])
def test_a_file_that_is_no_outcome_is_refused(run, host, content):
    Path("gate.json").write_text(content)
    ran = run("comment", "--gate", "gate.json", "--repo", "o/r", "--pr", "7")
    assert ran.code == 10
    assert host.seen == []


def test_a_file_of_any_size_is_not_read(run, host):
    with Path("gate.json").open("wb") as file:
        file.truncate(5 * 2**20)
    ran = run("comment", "--gate", "gate.json", "--repo", "o/r", "--pr", "7")
    assert ran.code == 10
    assert "too large" in ran.err
