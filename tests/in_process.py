"""A function of a test file, run in a process of its own, which ends with the time that it is given."""

import os
import subprocess
import sys
from pathlib import Path


def run_alone(function, *, seconds=240, **environment):
    """Run a module's function of no arguments in a new process; what it printed."""
    code = f"from {function.__module__} import {function.__name__}; {function.__name__}()"
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
