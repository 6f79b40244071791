#!/usr/bin/env python3
"""Runs ferrotune against Hugging Face transformers and PEFT: one line PASS or FAIL a check, with the largest difference seen.

    python tests/interop/run.py --ferrotune target/release/ferrotune [--work DIR] [--only TEXT ...] [--model DIR]

Exit code 0: all checks passed; 1: some did not.
"""
import os
import sys

sys.dont_write_bytecode = True
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import transformers

import adapters
import controls
import exports
import foreign
import odd
import pretraining
import real
from workplace import Check, Disagreement, Workplace

SUBJECTS = (exports, pretraining, adapters, foreign, odd, controls)


def all_checks(work: Workplace, model: Path | None) -> Iterator[Check]:
    for subject in SUBJECTS:
        yield from subject.checks(work)
    if model:
        yield from real.checks(work, model)


def passes(work: Workplace, check: Check) -> bool:
    """Runs one check and prints its line."""
    work.log(f"\n==== {check.name}\n")
    try:
        line = f"PASS  {check.name}  {check.run():.1e}"
        passed = True
    except Exception as error:  # A check must not end the others, whatever goes wrong in it.
        work.log(traceback.format_exc())
        reason = str(error) if isinstance(error, Disagreement) else f"{type(error).__name__}: {error}"
        line = f"FAIL  {check.name}  {reason.strip()[:600]}"
        passed = False
    work.log(line + "\n")
    print(line, flush=True)
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(description="Run ferrotune against transformers and PEFT.")
    parser.add_argument("--ferrotune", required=True, type=Path, help="the binary")
    parser.add_argument("--work", type=Path, help="a new or empty folder for models, runs and log.txt [default: a temporary one]")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="only checks whose name has one of these texts in it")
    parser.add_argument("--model", type=Path, help="also check with this real BERT folder")
    options = parser.parse_args()
    if not options.ferrotune.is_file():
        parser.error(f"{options.ferrotune} is no file")
    if options.work and options.work.is_dir() and any(options.work.iterdir()):
        parser.error(f"{options.work} is not empty")

    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="interop-") as temporary:
        work = Workplace(options.ferrotune.resolve(), options.work or Path(temporary))
        chosen = [
            check
            for check in all_checks(work, options.model and options.model.resolve())
            if not options.only or any(text in check.name for text in options.only)
        ]
        passed = sum(passes(work, check) for check in chosen)
        line = f"{passed} passed, {len(chosen) - passed} failed, {time.monotonic() - started:.0f} s"
        work.log(f"\n{line}\n")
        work.close()
    print(line)
    return 0 if chosen and passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
