"""Runs one contestant as a process of its own: what it printed, how long it lived, how much memory it held. Standard library only."""

import os
import subprocess
import tempfile
import threading
import time

TIME_LIMIT = 3600.0


class Failed(Exception):
    """A contestant that did not run, in one line."""


class Finished:
    """A process that ended well. Times are seconds; `started` is on the clock of time.time()."""

    def __init__(self, output, started, seconds, peak_mib):
        self.output, self.started, self.seconds, self.peak_mib = output, started, seconds, peak_mib


def run(command, variables):
    """Runs a command with these environment variables added. Output goes to files, so that no pipe makes it wait."""
    command = [str(word) for word in command]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        started, clock = time.time(), time.perf_counter()
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env={**os.environ, **variables})
        except OSError as error:
            raise Failed(f"{command[0]} does not start: {error.strerror}") from error
        killer = threading.Timer(TIME_LIMIT, process.kill)
        killer.start()
        try:
            # The largest resident memory of this one child; subprocess itself does not tell it.
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            killer.cancel()
        seconds = time.perf_counter() - clock
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode != 0:
            lines = errors.read().decode(errors="replace").strip().splitlines()
            raise Failed(f"exit code {process.returncode}: {lines[-1] if lines else 'it said nothing'}")
        return Finished(output.read().decode(errors="replace"), started, seconds, usage.ru_maxrss / 1024)
