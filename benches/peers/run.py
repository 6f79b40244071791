"""`cargo xtask bench peers`: ferrotune and its opponents in turn on the same rows, and one table of ratios. Standard library only."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import install
import measures
import processes
import rows
import table

ROOT = Path(__file__).resolve().parents[2]
# A contestant whose logits differ by more computes something else. Rounding alone makes differences of 1e-7 here; a mask that is
# left out makes 2e-2.
MOST_LOGIT_DIFFERENCE = 1e-4


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number


def names(text):
    wanted = text.split(",")
    unknown = [name for name in wanted if name not in measures.NAMES]
    if unknown:
        raise argparse.ArgumentTypeError(f"no measure {', '.join(unknown)}; known are {', '.join(measures.NAMES)}")
    return wanted


def arguments():
    parser = argparse.ArgumentParser(prog="cargo xtask bench peers", description=__doc__.split(": ", 1)[1])
    parser.add_argument("--quick", action="store_true", help="two turns of few steps: shows that everything runs, measures nothing")
    parser.add_argument("--only", type=names, default=list(measures.NAMES), metavar="NAMES",
                        help=f"some of {','.join(measures.NAMES)}")
    parser.add_argument("--turns", type=positive, help="turns of each contestant [default: 5, quick 2]")
    parser.add_argument("--steps", type=positive, help="steps of MiniLM and batches of inference [default: 43, quick 4]")
    parser.add_argument("--base-steps", type=positive, help="steps of BERT-base [default: 16, quick 3]")
    parser.add_argument("--data", type=Path, help="folder with train.csv: columns sentence (or text) and label [default: datasets/support-tickets]")
    parser.add_argument("--minilm", type=Path, help="folder of all-MiniLM-L6-v2 [default: the one of `ferrotune fetch`]")
    parser.add_argument("--threads", type=positive, default=2, help="threads of every contestant [default: 2]")
    parser.add_argument("--binaries", type=Path, required=True, help=argparse.SUPPRESS)
    a = parser.parse_args()
    a.turns = a.turns or (2 if a.quick else 5)
    return a


def row_files(a, work, batch_size):
    """Writes the rows of the long measures and those of BERT-base; gives their numbers of steps."""
    pairs = rows.read((a.data or ROOT / "datasets" / "support-tickets").resolve())
    steps = []
    for name, asked, usual in (("rows", a.steps, 4 if a.quick else 43), ("base-rows", a.base_steps, 3 if a.quick else 16)):
        most = len(pairs) // batch_size
        if (asked or 1) > most:
            raise install.Problem(f"--data has {len(pairs)} training rows: enough for {most} steps of {batch_size}, {asked or 1} are wanted")
        steps.append(asked or min(usual, most))
        rows.write(pairs[: steps[-1] * batch_size], work / f"{name}.csv")
        if steps[-1] < (asked or usual):
            print(f"{steps[-1]} steps instead of {usual}: the data has {len(pairs)} rows", flush=True)
    return steps


def context(a, work):
    """Everything ready for the contestants."""
    batch_size, max_length = 32, 128
    steps, base_steps = row_files(a, work, batch_size)
    python, versions = install.environment(work)
    minilm = a.minilm or Path(subprocess.run(
        [a.binaries / "ferrotune", "fetch", "sentence-transformers/all-MiniLM-L6-v2"],
        stdout=subprocess.PIPE, text=True, check=True).stdout.strip())
    no_onnx = install.no_onnx(versions)
    candle, no_candle = install.candle(work) if "inference" in a.only else (None, None)
    print("preparing models", flush=True)
    prepare = [
        python, Path(__file__).parent / "prepare.py", "--minilm", minilm, "--rows", work / "rows.csv", "--out", work,
        "--batch-size", str(batch_size), "--max-length", str(max_length), *(["--bert-base"] if {"bert-base", "bert-base-bf16"} & set(a.only) else []),
        *([] if no_onnx else ["--onnx"]),
    ]
    shared = measures.c.Context(
        work=work, python=python, binaries=a.binaries, candle=candle, minilm=minilm, threads=a.threads,
        batch_size=batch_size, max_length=max_length, rows=work / "rows.csv", base_rows=work / "base-rows.csv",
        row_count=steps * batch_size, warm_up=min(3, steps - 1), base_warm_up=min(2, base_steps - 1),
        no_onnx=no_onnx, no_candle=no_candle, no_bf16=install.no_bf16())
    print(processes.run(prepare, shared.environment()).output.strip().splitlines()[-1], flush=True)
    facts = {
        "machine": install.processor(), "load_average_at_start": os.getloadavg()[0], "threads": a.threads,
        "turns": a.turns, "quick": a.quick, "data": str(a.data or "datasets/support-tickets"), "batch_size": batch_size,
        "steps": steps, "warm_up_steps": shared.warm_up, "base_steps": base_steps, "base_warm_up_steps": shared.base_warm_up,
        "revision": revision(), "versions": versions,
    }
    return shared, facts


def revision():
    """The commit that was measured, with a + if the tree differs from it."""
    done = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def take_turns(measure, turns):
    """Runs ferrotune before each opponent, turn after turn. Gives, by opponent, the pairs of its turns or why it is missing."""
    pairs = {opponent.name: [] for opponent in measure.opponents}
    missing = {opponent.name: opponent.skipped for opponent in measure.opponents if opponent.skipped}
    for turn in range(turns):
        for opponent in measure.opponents:
            if opponent.name in missing:
                continue
            ours = measure.ferrotune.turn()
            try:
                theirs = opponent.turn()
            except processes.Failed as error:
                missing[opponent.name] = f"failed: {error}"
                print(f"  {opponent.name} failed: {error}", flush=True)
                continue
            pairs[opponent.name].append((ours, theirs))
            shown = ", ".join(
                f"{table.number(ours[r.key])} against {table.number(theirs[r.key])} {r.unit}" for r in measure.readings)
            print(f"  turn {turn + 1} of {turns}, {opponent.name}: {shown}", flush=True)
    return pairs, missing


def logit_difference(pairs):
    """The largest difference of a logit in these turns, if they have logits."""
    differences = [
        abs(x - y)
        for ours, theirs in pairs if "logits" in ours and "logits" in theirs
        for row, other in zip(ours["logits"], theirs["logits"], strict=True) for x, y in zip(row, other, strict=True)
    ]
    return max(differences, default=None)


def compare(measure, pairs, missing):
    """The results of a measure, one object for each opponent and reading, and what is wrong with them."""
    results, faults = [], []
    for opponent in measure.opponents:
        own = pairs[opponent.name]
        if opponent.name in missing:
            results.append({"measure": measure.name, "title": measure.title, "opponent": opponent.name, "missing": missing[opponent.name]})
            continue
        difference = logit_difference(own)
        if difference is not None and "bf16" not in opponent.name and not difference <= MOST_LOGIT_DIFFERENCE:
            faults.append(f"{opponent.name}: logits differ by {difference:.1e} from ferrotune's, so it computes something else")
        for reading in measure.readings:
            ours, theirs = ([turn[side][reading.key] for turn in own] for side in (0, 1))
            results.append({
                "measure": measure.name, "title": f"{measure.title}: {reading.title}", "opponent": opponent.name,
                "unit": reading.unit, **table.summary(reading, ours, theirs), "ours_turns": ours, "theirs_turns": theirs,
                "logit_difference": difference, "padding": own[-1][1].get("padding"),
                "loss": [turn.get("loss") for turn in own[-1]],
            })
    return results, faults


def text(facts, results, faults):
    """The page that is printed and kept."""
    lines = [
        "# ferrotune beside its opponents", "",
        f"{facts['machine']}; {facts['threads']} threads, {facts['turns']} turns, batch {facts['batch_size']}; ferrotune {facts['revision']}, "
        + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()) + ".",
        f"Rows: {facts['data']}, {facts['steps']} batches ({facts['warm_up_steps']} warm-up), BERT-base {facts['base_steps']} "
        f"({facts['base_warm_up_steps']} warm-up). Load average at the start: {facts['load_average_at_start']:.2f}.",
        "Medians of the turns (± half the spread); ratio: median of the turns (smallest to largest), above 1 ferrotune is better.", "",
        table.HEADER,
    ]
    for result in results:
        if "missing" in result:
            lines.append(table.missing(result["title"], result["opponent"], result["missing"]))
        else:
            lines.append(table.line(result["title"], result["opponent"], result["unit"], result))
    if facts["quick"]:
        lines += ["", "A quick run: it shows that everything works, and its figures mean nothing."]
    lines += [f"\n**{fault}**" for fault in faults]
    return "\n".join(lines) + "\n"


def main():
    a = arguments()
    work = ROOT / "target" / "peers"
    work.mkdir(parents=True, exist_ok=True)
    try:
        shared, facts = context(a, work)
        if facts["load_average_at_start"] > 0.5:
            print(f"warning: the load average is {facts['load_average_at_start']:.2f}; figures want a machine that does nothing else", flush=True)
        results, faults = [], []
        for measure in measures.chosen(shared, a.only):
            print(f"{measure.name}: {measure.title}", flush=True)
            found, wrong = compare(measure, *take_turns(measure, a.turns))
            results, faults = results + found, faults + wrong
            # After each measure, so that a run that is cut off leaves what it has.
            (work / "results.md").write_text(text(facts, results, faults), encoding="utf-8")
            (work / "results.json").write_text(
                json.dumps({"facts": facts, "results": results, "faults": faults}, indent=1) + "\n", encoding="utf-8")
    except (install.Problem, processes.Failed, ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"peers: {error}", file=sys.stderr)
        return 1
    print("\n" + text(facts, results, faults))
    print(f"kept as {work / 'results.md'} and results.json")
    return 1 if faults or any("failed" in result.get("missing", "") for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
