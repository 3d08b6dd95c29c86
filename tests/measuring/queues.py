"""A server with a known answer: c servers, one queue, exponential times (M/M/c). A request is good if it waits little."""

import heapq
import math
import random

from deploykit.measuring.dependence import inflation
from deploykit.measuring.searching import GoodputGoal, GoodputResult, NextTrial, Trial, find_goodput

SERVERS, MEAN_S, PATIENCE_S = 8, 1.0, 0.5


def good_share(rate: float) -> float:
    """P(wait <= 0.5 s) = 1 - C(c, a) exp(-(c mu - rate) t), with Erlang's C; 0 at and beyond saturation."""
    load = rate * MEAN_S
    if load >= SERVERS:
        return 0.0
    last = load**SERVERS / math.factorial(SERVERS) * SERVERS / (SERVERS - load)
    waits = last / (sum(load**k / math.factorial(k) for k in range(SERVERS)) + last)
    return 1 - waits * math.exp(-(SERVERS / MEAN_S - rate) * PATIENCE_S)


def true_goodput(share: float) -> float:
    """The rate at which so many requests are good, by bisection."""
    low, high = 0.01, float(SERVERS)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if good_share(middle) >= share else (low, middle)
    return low


def serve(draw: random.Random, rate: float, requests: int) -> Trial:
    """Offer so many requests, the first tenth as a warm-up that is not counted."""
    free, at, fates, warm = [0.0] * SERVERS, 0.0, [], requests // 10
    for _ in range(requests + warm):
        at += draw.expovariate(rate)
        start = max(at, heapq.heappop(free))
        heapq.heappush(free, start + draw.expovariate(1 / MEAN_S))
        fates.append(start - at <= PATIENCE_S)
    counted = fates[warm:]
    return Trial(rate=rate, good=sum(counted), total=requests, inflation=inflation(counted))


def search(draw: random.Random, goal: GoodputGoal, requests: int) -> tuple[GoodputResult, int]:
    """Search until there is an answer; with how many trials."""
    trials: list[Trial] = []
    while isinstance(step := find_goodput(trials, goal), NextTrial):
        trials.append(serve(draw, step.rate, requests))
    return step, len(trials)
