"""A workload -> its mean request and its longest one, in tokens: what a plan and a prediction reckon with."""

from functools import lru_cache

from deploykit.base import Value
from deploykit.catalog.lengths import evenly, max_tokens, mean_tokens
from deploykit.catalog.workload import Sessions, Workload


class MeanRequest(Value):
    """A workload's mean request."""

    prompt: float
    """The whole prompt: shared prefix, what was said before, and the new text."""

    reusable: float
    """Of the prompt, what an earlier request sent: the shared prefix, and the prompt of the turn before."""

    output: float
    longest: int
    """Prompt and answer of the longest request that can be drawn."""

    @property
    def computed(self) -> float:
        """Prompt tokens that no cache can hold."""
        return self.prompt - self.reusable


@lru_cache(maxsize=64)
def mean_request(workload: Workload) -> MeanRequest:
    """Return a workload's mean request: over all turns, where it has sessions."""
    prefix = workload.shared_prefix.tokens if workload.shared_prefix else 0
    own, output = mean_tokens(workload.prompt_tokens), mean_tokens(workload.output_tokens)
    most_own, most_output = max_tokens(workload.prompt_tokens), max_tokens(workload.output_tokens)
    sessions = workload.sessions
    if sessions is None:
        return MeanRequest(prompt=prefix + own, reusable=prefix, output=output, longest=prefix + most_own + most_output)
    first = mean_tokens(sessions.first_prompt_tokens) if sessions.first_prompt_tokens else own
    each = own + output
    counts = _turns(sessions, prefix + first + output, each)
    turns = sum(counts)
    # a session of n turns has n (n - 1) / 2 earlier turns before its turns in all
    earlier = sum(n * (n - 1) / 2 for n in counts) / turns
    again = 1 - len(counts) / turns
    prompt = prefix + first + earlier * each
    # the prompt of the turn before, where there is one: this prompt less its new text and the answer between
    return MeanRequest(
        prompt=prompt,
        reusable=prefix + again * (first - each) + earlier * each,
        output=output,
        longest=_longest(sessions, prefix, most_own, most_output),
    )


def _turns(sessions: Sessions, first: float, each: float) -> tuple[int, ...]:
    """Return how many turns sessions have, as values that stand for the distribution; cut where the context is full."""
    counts = evenly(sessions.turns)
    if sessions.max_context_tokens is None:
        return counts
    fit = 1 + max(0, int((sessions.max_context_tokens - first) // each))
    return tuple(min(count, fit) for count in counts)


def _longest(sessions: Sessions, prefix: int, own: int, output: int) -> int:
    """Return the longest last turn; a first turn is sent even where it fills the context by itself."""
    first = max_tokens(sessions.first_prompt_tokens) if sessions.first_prompt_tokens else own
    alone = prefix + first + output
    whole = alone + (max_tokens(sessions.turns) - 1) * (own + output)
    return whole if sessions.max_context_tokens is None else max(alone, min(whole, sessions.max_context_tokens))
