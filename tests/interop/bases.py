"""Folders that several checks start from, each made once."""
from functools import cache
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM

import models
from rows import KINDS
from workplace import Run, Workplace


@cache
def bare(work: Workplace, family: str) -> Path:
    """An encoder without a head."""
    return models.make(work.new(f"bare-{family}"), family)


@cache
def bfloat16(work: Workplace, family: str) -> Path:
    """An encoder in bf16, in several files."""
    return models.make(work.new(f"bfloat16-{family}"), family, dtype=torch.bfloat16, shard="20KB")


@cache
def without_pooler(work: Workplace, family: str) -> Path:
    return models.make(work.new(f"without-pooler-{family}"), family, without="pooler")


@cache
def masked(work: Workplace, family: str) -> Path:
    """A masked language model."""
    return models.make(work.new(f"masked-{family}"), family, AutoModelForMaskedLM)


@cache
def fine_tuned(work: Workplace, family: str) -> Run:
    """A single-label classifier that ferrotune trained."""
    return work.train(bare(work, family), KINDS["single-label"])


def classifier(work: Workplace, family: str) -> Path:
    return fine_tuned(work, family).best
