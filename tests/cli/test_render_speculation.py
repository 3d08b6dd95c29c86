"""A draft model of its own: a link in a release, a repository where the hub is asked."""

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("format_", "file", "draft"),
    [
        ("shell", "shell/engine-0.sh", '"model": "nvidia/gpt-oss-120b-Eagle3-v3"'),
        ("ansible", "engine/engine-0/serve.yaml", "model: ./draft"),
    ],
)
def test_where_the_draft_is(run, format_, file, draft):
    ran = run(
        "render", "gpt-oss-120b", "--node", "h100-sxm-8x", "--speculate", "auto", "--format", format_, "--out", "out"
    )
    assert ran.code == 0, ran.err
    assert draft in (Path("out") / file).read_text(encoding="utf-8")
