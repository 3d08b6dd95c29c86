"""A calibration: how much longer than the datasheet's peak vLLM takes, where that was measured, and how wrong it was.

Made by `make calibration` from measured points, never by hand. What the coefficients multiply is in
`planning/roofline.py`; docs/explanation/prediction.md has the formulas.
"""

from pydantic import Field

from deploykit.base import Value
from deploykit.catalog.fact import Facts


class StepCoefficients(Value):
    """One decode step. The first six are multiples of the time at peak, the rest are seconds."""

    weights: float = Field(ge=0, description="Reading every weight but the routed experts.")
    experts: float = Field(ge=0, description="Reading the routed experts that the step's tokens use.")
    kv: float = Field(ge=0, description="Reading the KV cache of the running sequences.")
    dense_flops: float = Field(ge=0, description="Everything but the routed experts, and attention's own products.")
    expert_flops: float = Field(ge=0, description="The routed experts, at the GPU's BF16 peak whatever their format.")
    link: float = Field(ge=0, description="All-reduces over NVLink.")
    layer_s: float = Field(ge=0, description="Per layer.")
    routed_s: float = Field(ge=0, description="Per layer and expert that a token uses.")
    collective_s: float = Field(ge=0, description="Per layer, where the engine spans GPUs.")


class PromptCoefficients(Value):
    """The first token. Bytes, FLOPs and links are multiples of the time at peak."""

    fixed_s: float = Field(ge=0, description="Per request: HTTP, tokenizer, scheduler.")
    steps: float = Field(ge=0, description="Decode steps that pass meanwhile.")
    layer_s: float = Field(ge=0, description="Per layer and chunk of the prompt.")
    weights: float = Field(ge=0, description="Reading the weights once per chunk.")
    dense_flops: float = Field(ge=0)
    expert_flops: float = Field(ge=0)
    link: float = Field(ge=0)
    queue: float = Field(ge=0, description="Share of a prompt's time that each other request in flight adds.")


class Spread(Value):
    """How far measured values lay from predicted ones: the 10 % and the 90 % quantile of measured / predicted."""

    low: float = Field(gt=0)
    high: float = Field(gt=0)


class Spreads(Value):
    """The spread of both quantities."""

    tpot: Spread
    ttft: Spread


class Span(Value):
    """The smallest and the largest value that was measured."""

    low: float
    high: float


class Seen(Value):
    """What the measured points cover."""

    runtime: str
    gpus: tuple[str, ...] = Field(description="GPUs by the name in profiles/nodes.")
    formats: dict[str, tuple[float, ...]] = Field(
        description="Precision of the weights, and the compute capabilities it was measured on."
    )
    attention: tuple[str, ...] = Field(description="Kinds of attention layers.")
    tensor: tuple[int, ...] = Field(description="Tensor-parallel sizes.")
    expert_ranks: tuple[int, ...] = Field(description="GPUs that expert parallelism spread the experts over.")
    concurrency: Span = Field(description="Requests in flight per data-parallel rank.")
    prompt: Span = Field(description="Prompt tokens.")
    output: Span = Field(description="Output tokens.")
    context: Span = Field(description="Prompt and output tokens together.")
    max_context: int = Field(description="Tokens of context up to which the formulas are stretched; refused beyond.")


class Errors(Value):
    """How wrong predictions were on points of a model, or of a model on a GPU, that the fit had not seen."""

    held_out: str
    gpu: str | None = Field(None, description="Null is all GPUs.")
    points: int
    tpot_median: float = Field(description="Median of |predicted / measured - 1|.")
    tpot_p90: float
    tpot_covered: float | None = Field(None, description="Share of points within the 80 % interval made without them.")
    ttft_median: float
    ttft_p90: float
    ttft_covered: float | None = None


class Calibration(Facts):
    """Coefficients with their provenance, range and error. `name` is its file's stem."""

    name: str
    title: str
    engine: str = Field(description="The releases that were measured.")
    points: int = Field(description="Configurations the fit has used.")
    basis: str = Field(description="How the points were measured, and what a prediction therefore means.")
    step: StepCoefficients
    prompt: PromptCoefficients
    calibrated: Spreads = Field(description="Residuals of models that were left out of the fit.")
    extrapolated: Spreads = Field(description="Residuals of models left out together with every point of their GPU.")
    seen: Seen
    in_sample: tuple[Errors, ...] = Field(description="On the points of the fit itself, for comparison.")
    waiting: tuple[Errors, ...] = Field(
        description="On points whose requests wait for room in the KV cache: not fitted."
    )
    by_model: tuple[Errors, ...] = Field(description="Leave one model out; the last row is all points.")
    by_model_and_gpu: tuple[Errors, ...] = Field(description="Leave one model on one GPU out; the last row is all.")
    unseen_gpu: tuple[Errors, ...] = Field(description="Leave the model and the GPU out; the last row is all.")
