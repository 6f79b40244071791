#!/usr/bin/env python3
"""Damages a data set in known ways and counts what `ferrotune audit` finds of it.

    python benches/audit.py --ferrotune target/release/ferrotune --model DIR --data clinc150=FOLDER banking77=FOLDER

    python benches/audit.py --ferrotune target/release/ferrotune --rows 1000000

Each folder has train.csv and test.csv with the columns text and label. Of the training rows 5 % get another label, drawn from all others. Of the
test rows 3 % are copied to random places of the training rows: half as they are, half with one light edit each, in turn another case, another
punctuation, one letter wrong, one word replaced by another of the set. The audit is run on the clean files too. --rows makes a file of so many rows instead and
measures time and memory. Needs nothing but Python.
"""
import argparse
import csv
import itertools
import json
import random
import resource
import subprocess
import tempfile
import time
from pathlib import Path

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [(row["text"], row["label"]) for row in csv.DictReader(file)]


def write(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


def other_case(text, draw, _):
    return text.upper() if text != text.upper() and draw.random() < 0.5 else text.swapcase()


def other_punctuation(text, draw, _):
    bare = text.rstrip(".?!")
    return bare + draw.choice([mark for mark in ["", ".", "!", "?", "..."] if bare + mark != text])


def wrong_letter(text, draw, _):
    words = text.split(" ")
    place = draw.choice([n for n, word in enumerate(words) if len(word) > 3 and word.isalpha()] or [0])
    word = words[place]
    at = draw.randrange(len(word))
    kind = draw.randrange(4)
    if kind == 0:
        word = word[:at] + word[at + 1:]
    elif kind == 1:
        word = word[:at] + draw.choice([c for c in LETTERS if c != word[at]]) + word[at + 1:]
    elif kind == 2:
        word = word[:at] + draw.choice(LETTERS) + word[at:]
    else:
        at = min(at, len(word) - 2)
        word = word[:at] + word[at + 1] + word[at] + word[at + 2:]
    return " ".join(words[:place] + [word] + words[place + 1:])


def other_word(text, draw, vocabulary):
    words = text.split(" ")
    place = draw.randrange(len(words))
    words[place] = draw.choice([word for word in vocabulary if word != words[place]])
    return " ".join(words)


EDITS = [other_case, other_punctuation, wrong_letter, other_word]


def damage(train, test, draw):
    """The damaged training rows, the lines whose label is wrong, and for each copied test line its line in train and how it was edited."""
    labels = sorted({label for _, label in train})
    vocabulary = sorted({word for text, _ in train for word in text.split()})
    rows = [{"text": text, "label": label} for text, label in train]
    for row in draw.sample(rows, len(rows) // 20):
        row["label"] = draw.choice([label for label in labels if label != row["label"]])
        row["flipped"] = True
    copied = draw.sample(range(len(test)), round(0.03 * len(test)))
    copies = []
    for n, place in enumerate(copied):
        text, label = test[place]
        edit = None if n < len(copied) // 2 else EDITS[n % len(EDITS)]
        edited = text if edit is None else edit(text, draw, vocabulary)
        copies.append({"text": edited, "label": label, "of": place, "edit": edit.__name__ if edit else "exact"})
    for copy in copies:
        rows.insert(draw.randrange(len(rows) + 1), copy)
    return rows


def audit(arguments, train, test, folder, model=None):
    found = Path(folder) / "found.json"
    command = [arguments.ferrotune, "audit", "--train", train, "--test", test, "--json", found, "--overwrite", "--threads", arguments.threads]
    command += ["--model", model] if model else []
    start = time.monotonic()
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
    return json.loads(found.read_text()), time.monotonic() - start


def training_rows(found, check):
    """The test row that each training row is most like, among the rows of these findings."""
    rows = [row for finding in found["findings"] if finding["check"] == check for row in finding.get("earlier_rows", [])]
    return {row["row"]: row["of"]["row"] for row in rows if row["split"] == "train" and row["of"]["split"] == "test"}


def test_rows(found, check, note=""):
    """The training row that each test row is most like, among the rows of these findings whose note begins so."""
    rows = [row for finding in found["findings"] if finding["check"] == check for row in finding["rows"]]
    there = [row for row in rows if row["split"] == "test" and row["of"]["split"] == "train" and row["note"].startswith(note)]
    return {row["row"]: row["of"]["row"] for row in there}


def letters(text):
    return "".join(c for c in text.lower() if c.isalnum())


def edits(a, b):
    """The Levenshtein distance; two letters that changed places count as two."""
    row = list(range(len(b) + 1))
    for n, x in enumerate(a, 1):
        last, row[0] = row[0], n
        for m, y in enumerate(b, 1):
            last, row[m] = row[m], min(last + (x != y), row[m] + 1, row[m - 1] + 1)
    return row[-1]


def clean_files(found, train, test):
    """What is said of files in which nothing was damaged, beside what a plain comparison of all texts says."""
    blanks = {" ".join(text.lower().split()) for text, _ in train}
    exact = {row for row, (text, _) in enumerate(test) if " ".join(text.lower().split()) in blanks}
    said = test_rows(found, "leaked-rows", "exact").keys()
    copies, near = test_rows(found, "leaked-rows"), test_rows(found, "near-rows")
    bare = {letters(text) for text, _ in train}
    same = {row for row, (text, _) in enumerate(test) if letters(text) in bare}
    far = [row for row, of in copies.items() if edits(letters(test[row][0]), letters(train[of][0])) > 2]
    print(f"  clean: {len(exact)} test rows are exact copies, {len(said)} said so, {len(exact ^ said)} wrongly; {len(same)} have the letters of a "
          f"training row, {len(same - copies.keys())} of them not said to be copies; {len(copies)} said to be copies at all, {len(far)} of "
          f"them more than a letter or a swap away; {len(near)} said to be near")


def measure(arguments, name, folder):
    train, test = read(folder / "train.csv"), read(folder / "test.csv")
    draw = random.Random(arguments.seed)
    rows = damage(train, test, draw)
    with tempfile.TemporaryDirectory() as place:
        files = [Path(place) / "train.csv", Path(place) / "test.csv"]
        write(files[0], [(row["text"], row["label"]) for row in rows])
        write(files[1], test)
        found, seconds = audit(arguments, *files, place, arguments.model)
        clean, _ = audit(arguments, folder / "train.csv", folder / "test.csv", place)
    copies, near = training_rows(found, "leaked-rows"), training_rows(found, "near-rows")
    print(f"{name}: {len(rows)} training rows, {len(test)} test rows, {seconds:.0f} s")
    counts = {}
    for number, row in enumerate(rows):
        if "of" in row:
            # The training row must be named, and with it the test row that it was made from.
            count = counts.setdefault(row["edit"], [0, 0, 0])
            count[0] += 1
            count[1] += copies.get(number) == row["of"]
            count[2] += near.get(number) == row["of"]
    for edit, (all_rows, as_copy, as_near) in counts.items():
        print(f"  {edit}: {all_rows} copies, {as_copy} found as copies, {as_near} as near")
    edited = [sum(count[n] for edit, count in counts.items() if edit != "exact") for n in range(3)]
    print(f"  lightly edited together: {edited[1] + edited[2]} of {edited[0]} found, {100 * (edited[1] + edited[2]) / edited[0]:.1f} %")
    if arguments.model:
        label_errors(found, rows)
    clean_files(clean, train, test)


def label_errors(found, rows):
    ranked = found["labels"]["ranked"]
    wrong = {number for number, row in enumerate(rows) if row.get("flipped")}
    first = sum(judged["row"] in wrong for judged in ranked[: len(rows) // 10])
    suspects = [judged["row"] for judged in ranked if judged["suspect"]]
    hits = sum(row in wrong for row in suspects)
    print(f"  labels: {len(wrong)} flipped, {first} among the first tenth of the rows ({100 * first / len(wrong):.1f} %); "
          f"{len(suspects)} suspects, {hits} of them flipped; the probe says the label of {100 * found['labels']['agreement']:.1f} % of rows")


def scale(arguments):
    """Rows of 4 to 20 words with the frequencies of a language, 1 % of them exact copies of earlier ones and 1 % lightly edited."""
    draw = random.Random(arguments.seed)
    vocabulary = ["".join(draw.choices(LETTERS, k=draw.randint(2, 9))) for _ in range(30_000)]
    # The frequency of a word by its rank, as in Zipf's law.
    weights = list(itertools.accumulate(1 / (n + 3) for n in range(len(vocabulary))))
    copies = [0, 0]
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "train.csv"
        earlier = []
        with open(path, "w", newline="", encoding="utf-8") as file:
            to = csv.writer(file)
            to.writerow(("text", "label"))
            for n in range(arguments.rows):
                text = " ".join(draw.choices(vocabulary, cum_weights=weights, k=draw.randint(4, 20)))
                if n % 100 < 2 and earlier:
                    text = draw.choice(earlier)
                    text = text if n % 100 == 0 else wrong_letter(text, draw, vocabulary)
                    copies[n % 100] += 1
                elif n % 50 == 3:
                    earlier.append(text)
                to.writerow((text, f"class {draw.randrange(50)}"))
        start = time.monotonic()
        command = [arguments.ferrotune, "audit", "--train", path, "--threads", arguments.threads, "--show", 0]
        said = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True).stdout
        seconds = time.monotonic() - start
        megabytes = path.stat().st_size / 1e6
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(said.strip())
    print(f"{arguments.rows} rows, {megabytes:.0f} MB: {seconds:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of processor time, "
          f"{used.ru_maxrss / 1024:.0f} MiB at the peak; {copies[0]} exact copies and {copies[1]} with a wrong letter were put in")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ferrotune", type=Path, required=True)
    parser.add_argument("--model", type=Path, help="encoder for likely label errors; without it they are left out")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--data", nargs="+", default=[], metavar="NAME=FOLDER")
    what.add_argument("--rows", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.rows:
        scale(arguments)
    for data in arguments.data:
        name, folder = data.split("=", 1)
        measure(arguments, name, Path(folder))


if __name__ == "__main__":
    main()
