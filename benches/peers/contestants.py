"""The contestants: the command of each, and how its numbers are read. A turn gives a dict of numbers by key. Standard library only.

Keys: rate (rows/s of the timed part), peak_mib, first_step (s from the start of the process), whole_run (s), logits, padding, loss.
"""

import json
import shutil
from pathlib import Path

import processes

HERE = Path(__file__).resolve().parent


class Context:
    """What all contestants of a run share: folders, sizes and interpreters."""

    def __init__(self, **values):
        self.__dict__.update(values)

    def environment(self):
        """Every library that makes threads makes this many, and none looks for the network."""
        threads = str(self.threads)
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS")
        return {**dict.fromkeys(names, threads), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class Contestant:
    """Somebody who takes turns."""

    def __init__(self, name, turn, skipped=None):
        self.name, self.turn, self.skipped = name, turn, skipped


def last_json(output):
    """The object on the last line that a contestant printed."""
    lines = output.strip().splitlines()
    try:
        return json.loads(lines[-1])
    except (IndexError, ValueError) as error:
        raise processes.Failed("it printed no result") from error


def timed(context, command):
    """Runs a worker that prints rows and seconds."""
    done = processes.run(command, context.environment())
    result = last_json(done.output)
    numbers = {"peak_mib": done.peak_mib, "whole_run": done.seconds, "rate": result["rows"] / result["seconds"]}
    kept = {"logits": "logits", "padding": "padding", "mean_loss": "loss"}
    return numbers | {ours: result[theirs] for theirs, ours in kept.items() if result.get(theirs) is not None}


def whole(context, command):
    """Runs a program that is timed as a whole."""
    done = processes.run(command, context.environment())
    return {"peak_mib": done.peak_mib, "whole_run": done.seconds}


# ferrotune


def ferrotune_train(context, model, rows, extra, first_timed_step=None, timed_epoch=None, first_step=False):
    """`ferrotune train`; the rate is that of the steps from `first_timed_step` on, or of the steps of `timed_epoch`."""
    folder = context.work / "run"
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        context.binaries / "ferrotune", "train", "--model", model, "--train", rows, "--validation-share", "0", "--output", folder,
        "--batch-size", context.batch_size, "--max-length", context.max_length, "--threads", context.threads,
        "--schedule", "constant", "--warmup", "0", "--lr", "2e-5", "--log-every", "1", *extra,
    ]
    try:
        done = processes.run(command, context.environment())
        log = folder / "metrics.jsonl"
        events = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        # A run of one step writes its only row when the step is done.
        written = log.stat().st_mtime
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    steps = [event for event in events if event["event"] == "step"]
    if first_step:
        return {"first_step": written - done.started}
    steps = [s for s in steps if (s["epoch"] == timed_epoch if timed_epoch else s["step"] >= first_timed_step)]
    if not steps:
        raise processes.Failed("it logged no step of the timed part")
    return {
        "peak_mib": done.peak_mib,
        "whole_run": done.seconds,
        "rate": sum(step["rows"] for step in steps) / sum(step["seconds"] for step in steps),
        "loss": sum(step["loss"] for step in steps) / len(steps),
    }


def ferrotune_inference(context, rows, precision):
    """The forward passes of `ferrotune predict` in batches of the size that the opponents use."""
    command = [
        context.binaries / "examples" / "inference", context.work / "minilm-classifier", rows,
        context.batch_size, context.warm_up, context.max_length, precision,
    ]
    return timed(context, command)


def ferrotune_predict(context, rows):
    """`ferrotune predict` as a person calls it, from the command to its end."""
    output = context.work / "predictions.csv"
    command = [
        context.binaries / "ferrotune", "predict", "--model", context.work / "minilm-classifier", "--input", rows,
        "--output", output, "--max-length", context.max_length, "--threads", context.threads,
    ]
    return whole(context, command)


# opponents


def script(context, name, model, rows, *extra):
    """The command of an opponent that is a script."""
    return [
        context.python, HERE / f"{name}.py", "--model", model, "--rows", rows, "--batch-size", context.batch_size,
        "--max-length", context.max_length, "--threads", context.threads, *extra,
    ]


def torch_train(context, model, rows, warm_up, *extra):
    """PyTorch fine-tuning: the rate of one pass over the file, after the warm-up steps."""
    return timed(context, script(context, "torch_train", model, rows, "--warm-up", warm_up, *extra))


def torch_first_step(context, model, rows, *extra):
    """PyTorch from the start of Python to the end of the first optimizer step."""
    done = processes.run(
        script(context, "torch_train", model, rows, "--warm-up", 0, "--first-step", *extra), context.environment())
    return {"first_step": last_json(done.output)["first_step_at"] - done.started}


def inference(context, name, rows, *extra):
    """An opponent's forward passes."""
    model = context.work / "minilm-classifier"
    return timed(context, script(context, name, model, rows, "--warm-up", context.warm_up, *extra))


def predict(context, name, rows, *extra):
    """An opponent's whole run from CSV to CSV."""
    model = context.work / "minilm-classifier"
    command = script(context, name, model, rows, "--output", context.work / "predictions.csv", *extra)
    return whole(context, command)


def candle_inference(context, batching):
    """candle's forward passes."""
    command = [
        context.candle, context.work / "minilm-classifier", context.work / "tokens.txt",
        context.work / f"batches-{batching}.txt", context.warm_up,
    ]
    return timed(context, command)
