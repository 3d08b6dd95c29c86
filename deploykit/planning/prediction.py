"""A layout, a calibration and a load -> TTFT, TPOT and throughput with their 80 % intervals, or why there are none."""

from collections.abc import Callable
from dataclasses import dataclass

from deploykit.catalog.calibration import Calibration, PromptCoefficients, Spread, StepCoefficients
from deploykit.catalog.node import Gpu
from deploykit.catalog.profile import Checkpoint, Profile
from deploykit.planning.calibrated import Request, doubts, refusal
from deploykit.planning.memory import Ground, Need
from deploykit.planning.predicted import Estimate, NotCalibrated, Prediction
from deploykit.planning.roofline import (
    Peaks,
    Subject,
    Work,
    peaks_of,
    prompt_terms,
    step_terms,
    weighted,
)


@dataclass(frozen=True)
class Times:
    """Central times of a request that runs, in seconds, and how many requests of all ranks wait for room."""

    ttft_s: float
    tpot_s: float
    waiting: float


def subject_of(profile: Profile, checkpoint: Checkpoint, gpu: Gpu, ground: Ground, need: Need) -> Subject | None:
    """Return the subject of a layout that fits, or None where the model's active parameters are not known.

    `speculative`, `disaggregated` and `runtime` are the caller's to set (`dataclasses.replace`).
    """
    active = profile.parameters.active_b if profile.parameters else None
    if active is None:
        return None
    return Subject(
        architecture=ground.architecture,
        weights=ground.weights,
        active_b=active,
        precision=checkpoint.precision,
        gpu=gpu,
        layout=need.layout,
        bytes_per_token=need.bytes_per_token,
        bytes_per_sequence=need.bytes_per_sequence,
        kv_bytes=need.rank_kv_bytes,
    )


def predict(
    subject: Subject,
    calibration: Calibration,
    *,
    concurrency: int,
    prompt_tokens: float,
    cached_tokens: float = 0,
    output_tokens: float,
) -> Prediction | NotCalibrated:
    """Return what `concurrency` requests in flight would see in a closed loop, or why that cannot be said.

    `prompt_tokens` is a whole prompt; `cached_tokens` of it are found in the prefix cache and cost nothing to compute.
    """
    request = Request(concurrency / subject.ranks, prompt_tokens, cached_tokens, output_tokens)
    why = refusal(subject, calibration.seen, request)
    peaks = peaks_of(subject)
    if why is None and peaks is None:
        why = f"the memory bandwidth or the FLOPs of `{subject.gpu.name}` are not known"
    if why is not None or peaks is None:
        return NotCalibrated(because=why or "")
    notes = doubts(subject, calibration.seen, request)
    found = times(subject, peaks, calibration.step, calibration.prompt, request)
    if found.waiting > 0:
        notes = (*notes, _waits(found, concurrency))
    spreads = calibration.extrapolated if notes else calibration.calibrated
    ttft, tpot = _around(found.ttft_s, spreads.ttft), _around(found.tpot_s, spreads.tpot)
    running = concurrency - found.waiting
    lasts = _each(lambda first, other: first + max(0.0, output_tokens - 1) * other, ttft, tpot)
    rate = Estimate(
        low=running * output_tokens / lasts.high,
        central=running * output_tokens / lasts.central,
        high=running * output_tokens / lasts.low,
    )
    per_gpu = _scaled(rate, 1 / subject.gpus)
    return Prediction(
        concurrency=concurrency,
        # Little's law: a closed loop of c requests over r places waits c/r - 1 times what a request lasts.
        ttft_s=_each(lambda first, last: first + found.waiting / running * last, ttft, lasts),
        tpot_s=tpot,
        output_tokens_per_s=rate,
        output_tokens_per_s_per_gpu=per_gpu,
        total_tokens_per_s_per_gpu=_scaled(per_gpu, (prompt_tokens + output_tokens) / output_tokens),
        basis="extrapolated" if notes else "calibrated",
        notes=notes,
    )


def times(
    subject: Subject, peaks: Peaks, step: StepCoefficients, prompt: PromptCoefficients, request: Request
) -> Times:
    """Return the central times of a request that runs, and how many of all ranks' requests wait for KV room."""
    running = min(request.per_rank, room(subject, request))
    work = work_of(request, running)
    tpot_s = weighted(step, step_terms(subject, peaks, work))
    terms = prompt_terms(subject, peaks, work, step_s=tpot_s)
    alone = prompt.fixed_s * terms.fixed_s + prompt.steps * terms.steps
    ttft_s = alone + (weighted(prompt, terms) - alone) * (1 + prompt.queue * running)
    return Times(ttft_s, tpot_s, (request.per_rank - running) * subject.ranks)


def work_of(request: Request, running: float) -> Work:
    """Return what one rank has to do while so many of its requests run."""
    return Work(
        sequences=running,
        prompt=request.prompt - request.cached,
        context=request.prompt + request.output / 2,
        output=request.output,
    )


def room(subject: Subject, request: Request) -> float:
    """Return how many requests one rank's KV cache holds at the mean length of their life; at least one."""
    each = (request.prompt + request.output / 2) * subject.bytes_per_token + subject.bytes_per_sequence
    if subject.kv_bytes is None or each <= 0:
        return request.per_rank
    return max(1.0, subject.kv_bytes / each)


def _around(central: float, spread: Spread) -> Estimate:
    return Estimate(low=central * spread.low, central=central, high=central * spread.high)


def _each(combine: Callable[[float, float], float], one: Estimate, other: Estimate) -> Estimate:
    """Combine low with low, central with central and high with high."""
    return Estimate(
        low=combine(one.low, other.low),
        central=combine(one.central, other.central),
        high=combine(one.high, other.high),
    )


def _scaled(estimate: Estimate, factor: float) -> Estimate:
    return Estimate(low=estimate.low * factor, central=estimate.central * factor, high=estimate.high * factor)


def _waits(found: Times, concurrency: int) -> str:
    return (
        f"{found.waiting:.0f} of the {concurrency} requests wait for room in the KV cache: TTFT is mostly that wait, "
        "and less sure than its interval says"
    )
