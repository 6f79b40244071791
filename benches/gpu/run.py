"""What a machine with a GPU is asked: are the numbers right, is memory clean, does a real run learn, how fast is it beside PyTorch.

It runs in the folder that `cargo xtask gpu` packs, prints a report in Markdown at the end, and exits with 1 if a check failed. It must not
compute any number of ferrotune's itself.
"""

import argparse
import collections
import csv
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# Steps of a measure.
STEPS = 30
MODELS = ["minilm-l6", "bert-base"]
# Rows, tokens of a row at most, batch.
MEASURES = [("rows.csv", 128, 32), ("rows.csv", 128, 128), ("long.csv", 512, 32), ("long.csv", 512, 128)]
# The same with launches to skip, which are those of the first steps, and to look at.
PROFILES = [("minilm-l6", "long.csv", 128, 512, 1000, 250), ("bert-base", "long.csv", 128, 512, 1500, 420), ("minilm-l6", "rows.csv", 32, 128, 1000, 250)]
VARIANTS = {"eager": [], "compiled": ["--compile"]}


class Report:
    """Lines of Markdown, and whether something failed."""

    def __init__(self):
        self.lines, self.failed = [], False

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def check(self, name, command, environment=None, tail=1):
        """Runs a command; its last lines and its exit code are the result."""
        begin = time.time()
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, env={**os.environ, **(environment or {})})
        output = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        result = [line for line in output if line.startswith("test result:")] or output[-tail:]
        verdict = "passed" if done.returncode == 0 else f"FAILED with exit code {done.returncode}"
        self.say(f"- {name}: {verdict} in {time.time() - begin:.0f} s. {' '.join(result)}")
        if done.returncode != 0:
            self.failed = True
            print("\n".join(output[-60:]), file=sys.stderr)
        return done


def device():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True).stdout.strip() or "no device that nvidia-smi knows"


def correctness(report):
    tests = {"FERROTUNE_GOLDEN": str(HERE / "golden")}
    report.say("\n## Numbers\n")
    report.check("copies, tables and products", ["./device", "--ignored", "the_gpu"], tests)
    report.check("contract", ["./contract", "--ignored", "on_the_gpu"], tests)
    report.check("golden numbers, and 200 steps with dropout beside the processor", ["./integration", "--ignored", "on_the_gpu"], tests)


def sanitizer(report):
    tests = {"FERROTUNE_GOLDEN": str(HERE / "golden")}
    report.say("\n## compute-sanitizer\n")
    if not shutil.which("compute-sanitizer"):
        report.say("Not on this machine, not run.")
        return
    command = ["timeout", "70", "compute-sanitizer", "--error-exitcode", "9", "./contract", "--ignored", "on_the_gpu"]
    report.check("memcheck over the contract", command, tests, tail=2)


def kernels(report):
    """Where the time of a step goes, as Nsight Compute sees it: launches of about a step, each alone on the device."""
    report.say("\n## Time by kernel\n")
    if not shutil.which("ncu"):
        report.say("Nsight Compute is not on this machine, not run.")
        return
    for model, rows, batch, length, skip, count in PROFILES:
        command = ["timeout", "30", "ncu", "--metrics", "gpu__time_duration.sum", "--clock-control", "none", "--csv"]
        command += ["--launch-skip", str(skip), "--launch-count", str(count), *train(model, rows, batch, length, "profile", 8)]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.startswith('"')]
        microseconds, launches = collections.Counter(), collections.Counter()
        for row in csv.DictReader(lines):
            unit = {"ns": 1e-3, "nsecond": 1e-3, "us": 1, "usecond": 1, "ms": 1e3}.get(row.get("Metric Unit"))
            if unit:
                name = row["Kernel Name"].split("(")[0]
                # Products of cuBLASLt have a name for each shape.
                name = "products" if name.startswith(("nvjet", "void cublas", "void gemm", "sm90", "sm80")) else name
                microseconds[name] += float(row["Metric Value"].replace(",", "")) * unit
                launches[name] += 1
        total = sum(microseconds.values())
        if not total:
            report.say(f"- {model}, {rows}, batch {batch}: ncu gave nothing")
            continue
        shares = ", ".join(f"{name} {100 * us / total:.0f} %" for name, us in microseconds.most_common(9))
        report.say(f"- {model}, {rows}, batch {batch}: {sum(launches.values())} launches in {total / 1000:.1f} ms: {shares}")


def models(report):
    for name in MODELS:
        init = ["./ferrotune", "init", "--preset", name, "--tokenizer", "tokenizer", "--output", name, "--overwrite"]
        report.check(f"random weights for {name}", init)


def long_rows():
    """Rows that fill 512 tokens: short ones joined."""
    with open(HERE / "rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    words, joined = [], []
    for row in rows * 40:
        words += row["text"].split()
        if len(words) >= 520:
            joined.append((" ".join(words), row["label"]))
            words = []
        if len(joined) == 1000:
            break
    with open(HERE / "long.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *joined])


def train(model, rows, batch, length, output, steps, extra=()):
    return [
        "./ferrotune", "train", "--device", "cuda", "--precision", "bf16", "--model", model, "--train", rows, "--epochs", "1000",
        "--validation-share", "0", "--max-steps", str(steps), "--batch-size", str(batch), "--max-length", str(length), "--output", output,
        "--log-every", "1000", "--overwrite", *extra,
    ]  # fmt: skip


def ours(model, rows, batch, length):
    # Short steps need more of them: its speed counts all steps but the first three.
    steps = 5 * STEPS if length < 512 else 2 * STEPS
    done = subprocess.run(train(model, rows, batch, length, "speed", steps), cwd=HERE, capture_output=True, text=True)
    if done.returncode != 0:
        print(done.stderr[-2000:], file=sys.stderr)
        return None
    return json.loads((HERE / "speed/results.json").read_text())["train"]["samples_per_second"]


def theirs(model, extra, seconds):
    """Figures of all measures, of those that were done before the time was over."""
    command = [sys.executable, "torch_train.py", "--model", model, "--steps", str(STEPS), *extra]
    for rows, length, batch in MEASURES:
        command += ["--measure", rows, str(length), str(batch)]
    try:
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=max(seconds, 1))
        output = done.stdout
        if done.returncode != 0:
            print(done.stderr[-2000:], file=sys.stderr)
    except subprocess.TimeoutExpired as expired:
        output = (expired.stdout or b"").decode()
    figures = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {(figure["rows"], figure["batch_size"]): figure["rows_per_second"] for figure in figures}


def speed(report, deadline):
    report.say("\n## Training, rows a second\n")
    report.say("bf16, dropout 0.1, clipping, AdamW. PyTorch: SDPA, fused AdamW, padded to the longest row of a batch, all shapes met before the clock starts.")
    report.say("Ferrotune runs before and after PyTorch, and the lower of its figures counts; its clock starts with the fourth step.\n")
    long_rows()
    report.say("| model | rows | batch | ferrotune | " + " | ".join(f"PyTorch {name}" for name in VARIANTS) + " | ratio to the best |")
    report.say("|---|---|---|---|" + "---|" * len(VARIANTS) + "---|")

    def turn():
        return {model: [ours(model, rows, batch, length) for rows, length, batch in MEASURES] for model in MODELS}

    turns = [turn()]
    # What takes longest comes last, so that no model is left out for another.
    figures = {(model, name): {} for model in MODELS for name in VARIANTS}
    for name, extra in VARIANTS.items():
        for left, model in zip(range(len(MODELS), 0, -1), MODELS):
            share = (deadline - time.time()) / left if name == list(VARIANTS)[-1] else deadline - time.time()
            figures[model, name] = theirs(model, extra, share)
    if time.time() < deadline:
        turns.append(turn())
    for model in MODELS:
        mine, opponents = [turn[model] for turn in turns], {name: figures[model, name] for name in VARIANTS}
        for at, (rows, length, batch) in enumerate(MEASURES):
            own = [turn[at] for turn in mine if turn[at]]
            report.failed |= not own
            others = [opponents[name].get((rows, batch)) for name in VARIANTS]
            measured = [figure for figure in others if figure]
            ratio = f"{min(own) / max(measured):.2f}" if own and measured else "-"
            shown = " | ".join("not run" if figure is None else f"{figure:.0f}" for figure in [min(own, default=None), *others])
            report.say(f"| {model} | {rows}, {length} tokens at most | {batch} | {shown} | {ratio} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["numbers", "speed"], help="leave the other part out")
    parser.add_argument("--minutes", type=float, default=8, help="what does not fit is left out and named")
    parser.add_argument("--report", default="report.md", help="where the report is kept")
    a = parser.parse_args()
    deadline = time.time() + 60 * a.minutes
    report = Report()
    report.say(f"# {device()}, {datetime.date.today()}")
    if a.only != "speed":
        correctness(report)
    if report.failed:
        # Wrong numbers at any speed are of no interest.
        pathlib.Path(a.report).write_text("\n".join(report.lines) + "\n")
        sys.exit(1)
    models(report)
    report.say("\n## A fine-tune of BERT-base shape on real rows\n")
    report.check("100 steps", train("bert-base", "rows.csv", 32, 128, "run", steps=100), tail=3)
    if a.only != "numbers":
        speed(report, deadline - 100)
    if a.only != "speed":
        sanitizer(report)
    if a.only != "numbers" and time.time() < deadline:
        kernels(report)
    pathlib.Path(a.report).write_text("\n".join(report.lines) + "\n")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
