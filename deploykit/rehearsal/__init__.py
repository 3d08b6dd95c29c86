"""The tiny random model and tokenizer that stand in for a real one."""

from deploykit.rehearsal.standin import coverage, digest, one_token_words, standin_files

__all__ = ["coverage", "digest", "one_token_words", "standin_files"]
