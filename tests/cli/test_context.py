import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.cli.context import parse_settings
from deploykit.errors import UsageError


def test_a_setting_may_be_written_as_the_flag_it_is():
    assert parse_settings(["--max_num_seqs=7", "x.y=a=b"]) == {"max-num-seqs": 7, "x.y": "a=b"}


@pytest.mark.parametrize("pair", ["", "=", "=5", "a b=5", "a", "é=1", "-=1", "a b\n=1"])
def test_what_is_not_key_and_value_is_refused(pair):
    with pytest.raises(UsageError, match="is not key=value"):
        parse_settings([pair])


@given(st.text() | st.text('=[]{}":,0123456789.eE+-abtruefalsn \\u', max_size=30))
def test_any_text_is_settings_or_one_usage_error(text):
    said = None
    for pair in (text, f"x={text}"):
        try:
            json.dumps(parse_settings([pair]), allow_nan=False)
        except UsageError as error:
            said = error
    assert said is None or (said.hint and len(said.what) < 300)
