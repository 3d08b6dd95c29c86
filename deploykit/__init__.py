"""Serve open-weight MoE models with vLLM, and measure what a million tokens costs."""

__version__ = "0.1.0"
