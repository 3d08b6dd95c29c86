from deploykit.deploying.last_words import START, last_words

LOG = [START + "a", "first", "died", START + "b", "loading"]


def test_of_an_engine_that_is_up_again_the_lines_before_its_start():
    assert last_words(LOG, up_again=True) == f"{START}a\nfirst\ndied"
    assert last_words(LOG, up_again=True, count=1) == "died"


def test_of_an_engine_that_is_down_the_last_lines():
    assert last_words(LOG, up_again=False, count=2) == f"{START}b\nloading"
    assert last_words(["only"], up_again=True) == "only"
    assert last_words([], up_again=True) == ""
