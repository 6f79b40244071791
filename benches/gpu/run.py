"""What a machine with a GPU is asked: are the numbers right, is memory clean, does a real run learn, how fast is it beside PyTorch.

It runs in the folder that `cargo xtask gpu` packs, prints a report in Markdown at the end, and exits with 1 if a check failed. It must not
compute any number of ferrotune's itself.
"""

import argparse
import csv
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
# Steps of a measure, and those before the clock starts.
STEPS, WARM_UP = 60, 10
TURNS = 3
MODELS = ["minilm-l6", "bert-base"]
BATCHES = [32, 128]
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
    report.check("contract", ["./contract", "--ignored", "on_the_gpu"], tests)
    report.check("golden numbers, and 200 steps with dropout beside the processor", ["./integration", "--ignored", "on_the_gpu"], tests)
    sanitizer = shutil.which("compute-sanitizer")
    if sanitizer:
        command = [sanitizer, "--error-exitcode", "9", "./contract", "--ignored", "on_the_gpu"]
        report.check("compute-sanitizer over the contract", command, tests, tail=2)
    else:
        report.say("- compute-sanitizer: not on this machine, not run")


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


def train(model, rows, batch, length, output, steps=STEPS, extra=()):
    return [
        "./ferrotune", "train", "--device", "cuda", "--precision", "bf16", "--model", model, "--train", rows, "--epochs", "1000",
        "--validation-share", "0", "--max-steps", str(steps), "--batch-size", str(batch), "--max-length", str(length), "--output", output,
        "--log-every", "1000", "--overwrite", *extra,
    ]  # fmt: skip


def ours(model, rows, batch, length):
    done = subprocess.run(train(model, rows, batch, length, "speed"), cwd=HERE, capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr.strip().splitlines()[-1:]
    return json.loads((HERE / "speed/results.json").read_text())["train"]["samples_per_second"], None


def theirs(model, rows, batch, length, extra):
    command = [sys.executable, "torch_train.py", "--model", model, "--rows", rows, "--batch-size", str(batch)]
    command += ["--max-length", str(length), "--steps", str(STEPS), "--warm-up", str(WARM_UP), *extra]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True)
    if done.returncode != 0:
        return None, done.stderr.strip().splitlines()[-1:]
    return json.loads(done.stdout.strip().splitlines()[-1])["rows_per_second"], None


def speed(report, deadline):
    report.say("\n## Training, rows a second\n")
    report.say("In turn, the median of the turns; bf16, dropout 0.1, clipping, AdamW. PyTorch: SDPA, fused AdamW, padded to the longest row of a batch.\n")
    report.say("| model | rows | batch | ferrotune | " + " | ".join(f"PyTorch {name}" for name in VARIANTS) + " | ratio to the best |")
    report.say("|---|---|---|---|" + "---|" * len(VARIANTS) + "---|")
    long_rows()
    for rows, length in [("rows.csv", 128), ("long.csv", 512)]:
        for model in MODELS:
            for batch in BATCHES:
                if time.time() > deadline:
                    report.say(f"| {model} | {rows} | {batch} | not run: the time was over |" + " |" * (len(VARIANTS) + 1))
                    continue
                figures = {name: [] for name in ["ferrotune", *VARIANTS]}
                for _ in range(TURNS):
                    runs = {"ferrotune": lambda: ours(model, rows, batch, length)}
                    for name, extra in VARIANTS.items():
                        runs[name] = lambda extra=extra: theirs(model, rows, batch, length, extra)
                    for name, run in runs.items():
                        figure, why = run()
                        if figure is None:
                            report.failed |= name == "ferrotune"
                            print(name, why, file=sys.stderr)
                        else:
                            figures[name].append(figure)
                    if time.time() > deadline:
                        break
                medians = {name: statistics.median(values) if values else None for name, values in figures.items()}
                opponents = [medians[name] for name in VARIANTS if medians[name]]
                mine = medians["ferrotune"]
                ratio = f"{mine / max(opponents):.2f}" if mine and opponents else "-"
                shown = " | ".join("failed" if value is None else f"{value:.0f}" for value in medians.values())
                report.say(f"| {model} | {rows} | {batch} | {shown} | {ratio} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=8, help="what does not fit is left out and named")
    parser.add_argument("--report", default="report.md", help="where the report is kept")
    a = parser.parse_args()
    deadline = time.time() + 60 * a.minutes
    report = Report()
    report.say(f"# {device()}, {datetime.date.today()}")
    correctness(report)
    models(report)
    report.say("\n## A fine-tune of BERT-base shape on real rows\n")
    report.check("100 steps", train("bert-base", "rows.csv", 32, 128, "run", steps=100), tail=3)
    speed(report, deadline - 30)
    pathlib.Path(a.report).write_text("\n".join(report.lines) + "\n")
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
