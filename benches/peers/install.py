"""Finds or makes what the opponents need: a Python environment and the candle program, both below target/peers. Standard library only."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV_VARIABLE = "FERROTUNE_PEERS_VENV"
NEEDED = ("torch", "transformers", "tokenizers")
FOR_ONNX = ("onnx", "onnxruntime")

# Prints the versions of the packages that are named in its arguments; a package that is missing has none.
VERSIONS = """
import importlib.metadata, sys
for name in sys.argv[1:]:
    try: print(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError: pass
"""


class Problem(Exception):
    """Why nothing can be measured, in one line."""


def interpreter(folder):
    """The Python of an environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def versions(python):
    """Versions by name of the opponents' packages that this Python has."""
    try:
        done = subprocess.run([python, "-c", VERSIONS, *NEEDED, *FOR_ONNX], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Problem(f"{python} does not run: {error}") from error
    return dict(line.split() for line in done.stdout.splitlines())


def environment(work):
    """A Python with the opponents, and their versions. A named environment is used as it is; our own is made and filled once."""
    named = os.environ.get(VENV_VARIABLE)
    python = interpreter(Path(named).expanduser() if named else work / "venv")
    if not named and not (python.is_file() and set(NEEDED + FOR_ONNX) <= set(versions(python))):
        print(f"making {work / 'venv'}; PyTorch is a large download", flush=True)
        venv.create(work / "venv", with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", "-r", HERE / "requirements.txt"]
        if subprocess.run(command).returncode != 0:
            raise Problem(f"pip could not install {HERE / 'requirements.txt'}; see above, or name an environment in {VENV_VARIABLE}")
    found = versions(python)
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise Problem(f"{python} lacks {', '.join(missing)}: install it there, or unset {VENV_VARIABLE}")
    return python, found


def no_onnx(found):
    """Why ONNX Runtime cannot take part, if so."""
    missing = [name for name in FOR_ONNX if name not in found]
    return f"skipped: the environment lacks {' and '.join(missing)}" if missing else None


def candle(work):
    """Builds the candle program for this processor. Gives its path, and why it cannot take part, if so."""
    target, source = work / "candle", work / "candle-source"
    # From a copy: the lock file that cargo writes names a registry, and such a file may not lie among the sources.
    shutil.copytree(HERE / "candle", source, dirs_exist_ok=True)
    command = [
        os.environ.get("CARGO", "cargo"), "build", "--release", "--manifest-path", source / "Cargo.toml", "--target-dir", target,
    ]
    print("building candle", flush=True)
    # candle chooses its vector instructions when it is compiled; ours are chosen when it runs.
    failed = subprocess.run(command, env={**os.environ, "RUSTFLAGS": "-C target-cpu=native"}).returncode != 0
    return target / "release" / "peers-candle", "skipped: candle could not be built, see above" if failed else None


def no_bf16():
    """Why bf16 cannot take part, if so: without instructions for it PyTorch emulates it and is slower than in fp32."""
    wanted = ("avx512_bf16", "amx_bf16")
    try:
        flags = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")).split()
    except (OSError, StopIteration):
        return "skipped: this system does not tell whether the processor has bf16"
    return None if set(wanted) & set(flags) else f"skipped: the processor has neither {wanted[0]} nor {wanted[1]}"


def processor():
    """Name of the processor, its cores, and those of its instruction sets that matter here."""
    name, flags = "unknown processor", []
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = value.split()
    except OSError:
        pass
    sets = [flag for flag in ("avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{name}, {os.cpu_count()} cores, {' '.join(sets) or sys.platform}"
