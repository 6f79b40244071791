"""The work folder: ferrotune runs in it, and every command with what it said is in its log.txt. It knows nothing of transformers."""
import itertools
import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rows import Kind, training_rows, write

MAX_LENGTH = 64
TIMEOUT_S = 300
# A short run at a rate at which every weight moves visibly.
SHORT = {
    "threads": 1,
    "report": "off",
    "baselines": "off",
    "batch_size": 8,
    "max_steps": 8,
    "epochs": 2,
    "lr": 0.01,
    "warmup": 0,
    "max_length": MAX_LENGTH,
}


class Disagreement(Exception):
    """ferrotune and the other side differ; the message says in what."""


@dataclass(frozen=True)
class Check:
    name: str
    run: Callable[[], float]
    """Gives the largest difference of two numbers that should be the same; raises a Disagreement if that is too large."""


@dataclass(frozen=True)
class Run:
    """A folder that `ferrotune train` wrote, and what it said."""

    folder: Path
    output: str

    @property
    def best(self) -> Path:
        return self.folder / "best"

    @property
    def adapter(self) -> Path:
        return self.folder / "adapter"


def is_error(stderr: str) -> bool:
    """ferrotune's own, of one line at the end, and no panic."""
    lines = stderr.splitlines()
    return bool(lines) and lines[-1].startswith("error:") and "panicked" not in stderr


class Workplace:
    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary = binary
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._log = open(self.folder / "log.txt", "w", encoding="utf-8")
        self._numbers = itertools.count(1)

    def log(self, text: str) -> None:
        self._log.write(text)
        self._log.flush()

    def close(self) -> None:
        self._log.close()

    def new(self, name: str, ending: str = "") -> Path:
        """A path that nothing has yet."""
        return self.folder / f"{next(self._numbers):03}-{name}{ending}"

    def command(self, subcommand: str, flags: dict) -> list[str]:
        """A flag `max_length=64` becomes `--max-length 64`, one that is True a `--flag` without a value."""
        words = [str(self.binary), subcommand]
        for flag, value in flags.items():
            words.append("--" + flag.replace("_", "-"))
            if value is not True:
                words.append(str(value))
        return words

    def ferrotune(self, subcommand: str, *, refused: bool = False, **flags) -> subprocess.CompletedProcess:
        """Runs ferrotune to its end. That it succeeds, or with `refused` that it ends with an error of its own, is part of every check."""
        command = self.command(subcommand, flags)
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, timeout=TIMEOUT_S, check=False)
        self.log(f"\n$ {' '.join(command)}\n[{done.returncode}]\n{done.stdout}{done.stderr}")
        if refused:
            if done.returncode <= 0 or not is_error(done.stderr):
                raise Disagreement(f"`ferrotune {subcommand}` was not refused but ended with {done.returncode}: {done.stderr[-400:]}")
        elif done.returncode != 0:
            raise Disagreement(f"`ferrotune {subcommand}` ended with {done.returncode}: {done.stderr[-400:]}")
        return done

    def refusal(self, *expected: str, subcommand: str, **flags) -> float:
        """The command is refused, with these texts in what it says."""
        said = self.ferrotune(subcommand, refused=True, **flags).stderr
        for text in expected:
            if text not in said:
                raise Disagreement(f"{text!r} is not in: {said}")
        return 0.0

    def train_flags(self, base: Path, kind: Kind, settings: dict) -> dict:
        ending = ".jsonl" if kind.shape == "tokens" else ".csv"
        train = write(self.new("train", ending), training_rows(kind, 40, seed=1))
        validation = write(self.new("validation", ending), training_rows(kind, 12, seed=2))
        return {"model": base, "train": train, "validation": validation, "output": self.new("run"), **SHORT, **kind.settings, **settings}

    def train(self, base: Path, kind: Kind, **settings) -> Run:
        flags = self.train_flags(base, kind, settings)
        done = self.ferrotune("train", **flags)
        return Run(flags["output"], done.stdout + done.stderr)

    def predict(self, folder: Path, rows: list[dict], **flags) -> list[dict]:
        """What ferrotune says of each row, with its logits."""
        asked, answered = write(self.new("rows", ".jsonl"), rows), self.new("predictions", ".jsonl")
        self.ferrotune("predict", model=folder, input=asked, output=answered, logits=True, threads=1, **flags)
        said = [json.loads(line) for line in answered.read_text(encoding="utf-8").splitlines()]
        if len(said) != len(rows):
            raise Disagreement(f"{len(said)} predictions for {len(rows)} rows")
        return said
