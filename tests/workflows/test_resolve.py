import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploykit.errors import CatalogError, UsageError
from deploykit.workflows.resolve import Layer, intent_keys, resolve

DEFAULTS = Layer(name="defaults", values={"model": "a", "node": "local", "engine": "e"})


def test_later_layers_win_key_by_key():
    file = Layer(
        name="file", values={"model": "b", "slo": {"ttft_s": 2, "tpot_s": 0.1}, "settings": {"max-num-seqs": 8}}
    )
    line = Layer(name="line", values={"slo": {"ttft_s": 1}, "settings": {"block-size": 16}})
    resolved = resolve((DEFAULTS, file, line))
    assert resolved.intent.model == "b"
    assert (resolved.intent.slo.ttft_s, resolved.intent.slo.tpot_s) == (1, 0.1)
    assert resolved.intent.settings == {"max-num-seqs": 8, "block-size": 16}
    assert resolved.origin("slo.ttft_s") == (("file", 2), ("line", 1))
    assert resolved.origin("settings.block-size") == (("line", 16),)


def test_a_vllm_setting_that_is_a_mapping_stays_whole():
    layers = (DEFAULTS, Layer(name="file", values={"settings": {"compilation-config": {"mode": 0, "x": 1}}}))
    over = Layer(name="line", values={"settings": {"compilation-config": {"mode": 3}}})
    assert resolve((*layers, over)).intent.settings == {"compilation-config": {"mode": 3}}


def test_a_setting_with_a_dot_in_its_name_is_one_setting():
    layer = Layer(name="file", values={"settings": {"attention-config.use_fp4_indexer_cache": True}})
    assert resolve((DEFAULTS, layer)).intent.settings == {"attention-config.use_fp4_indexer_cache": True}


def test_an_unknown_key_names_the_nearest_and_the_layer():
    with pytest.raises(CatalogError) as caught:
        resolve((DEFAULTS, Layer(name="deploykit.yaml", values={"slo": {"tfft_s": 1}})))
    assert "slo.tfft_s" in caught.value.what
    assert "ttft_s" in str(caught.value.hint)
    assert "deploykit.yaml" in str(caught.value.where)


def test_a_wrong_type_names_the_key():
    with pytest.raises(CatalogError, match="port"):
        resolve((DEFAULTS, Layer(name="file", values={"port": "eight"})))


def test_explaining_a_key_that_does_not_exist_names_the_nearest():
    with pytest.raises(UsageError) as caught:
        resolve((DEFAULTS,)).origin("wrkload")
    assert "workload" in str(caught.value.hint)


def test_a_key_nobody_set_comes_from_its_default():
    ((layer, value),) = resolve((DEFAULTS,)).origin("gateway.port")
    assert (layer, value) == ("default of the key itself", 8000)


@given(st.dictionaries(st.sampled_from(["port", "workload", "nodes", "checkpoint"]), st.none()))
def test_none_is_not_a_value(values):
    assert resolve((DEFAULTS, Layer(name="line", values=values))).origins.keys() == {"model", "node", "engine"}


def test_every_key_is_listed_once():
    keys = intent_keys()
    assert len(keys) == len(set(keys))
    assert {"model", "slo.ttft_s", "cost.rates", "gateway.domain"} <= set(keys)
