"""The cache of compiled kernels: where it lies, for whom, and what becomes of a fit when the disk fails it.

Numba's cache consists of pickles: whoever can write there can run code as the one who reads.  So it lies in a folder of the
user's own, and where that is not to be had, kernels are compiled in memory.

The folder is named by a digest of all that is compiled: Numba itself checks the file of a kernel only, not the losses, rows
and rules that were compiled into it.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from stat import S_ISVTX, S_IWGRP, S_IWOTH
from typing import Any

import numba
from llvmlite import binding as llvm
from numba.core.caching import FunctionCache

config: Any = numba.config  # whose settings are made at run time
NUMBA_VERSION: str = numba.__version__


def digest() -> str:
    """Of all compiled sources, of Numba and of the processor: what was compiled of or for others must never run.

    Modules without compiled functions do not count.  All modules of the losses do, because they share methods and constants.
    So do the modules that say how functions are compiled.
    """
    parts = numba.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    total = hashlib.sha256(" ".join(parts).encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        source = path.read_bytes()
        marked = re.search(rb"^@(kernel|linked|struct|separable)\b|\bstruct\(cls\)", source, re.MULTILINE)
        if marked or path.parent.name == "losses" or path.name in ("jit.py", "linking.py"):
            total.update(path.name.encode() + source)
    return total.hexdigest()[:16]


def cache_folder() -> Path | None:
    """The folder of compiled kernels: inside NUMBA_CACHE_DIR if set, else the user's cache; None if neither will do."""
    if config.CACHE_DIR:
        base = Path(config.CACHE_DIR)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local"))
    elif sys.platform == "darwin":
        base = Path("~/Library/Caches")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")
    try:
        folder = (base.expanduser() / "skgd" / digest()).resolve()
        for path in reversed((folder, *folder.parents)):
            path.mkdir(mode=0o700, exist_ok=True)
        _refuse_what_others_can_write(folder)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError) as error:
        warnings.warn(
            f"skgd compiles its kernels anew in every process, as it has no folder to keep them in: {error}. "
            "Set NUMBA_CACHE_DIR to a folder that you, and nobody else, can write to.",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _refuse_what_others_can_write(folder: Path) -> None:
    """Raise PermissionError where others could put a file of theirs into the folder, or a folder of theirs in its place.

    A group may write to the folders above, as many users are the only member of theirs, and to one that root opened to it,
    as for containers that run under any user.
    """
    if sys.platform == "win32":  # where folders of a user are the user's own, and have no mode
        return
    owner = folder.stat().st_uid
    if owner not in (os.getuid(), 0):
        raise PermissionError(f"{folder} belongs to another user")
    open_to_others = [path for path in folder.parents if path.stat().st_mode & (S_IWOTH | S_ISVTX) == S_IWOTH]
    if folder.stat().st_mode & (S_IWOTH | S_IWGRP if owner == os.getuid() else S_IWOTH):
        open_to_others.append(folder)
    if open_to_others:
        raise PermissionError(f"others can write to {open_to_others[-1]}")


CACHE_FOLDER = cache_folder()


class Cache(FunctionCache):
    """Numba's cache of a kernel in `CACHE_FOLDER`, but a file that cannot be read or written costs time, and no fit."""

    _unsaved = False

    def __init__(self, function) -> None:
        configured = config.CACHE_DIR
        config.CACHE_DIR = str(CACHE_FOLDER)
        try:
            super().__init__(function)
        finally:
            config.CACHE_DIR = configured

    def load_overload(self, sig, target_context):
        """What was compiled for a signature, if it is there and whole."""
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # whatever a damaged pickle may raise
            with suppress(OSError):
                self.flush()
            return None
        # Of two processes that start a cache, one may have named the file and the other filled it.
        return found if found is not None and found.signature.args == sig else None

    def save_overload(self, sig, data) -> None:
        """Keep what was compiled, if the disk takes it."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            if not Cache._unsaved:
                Cache._unsaved = True
                warnings.warn(f"skgd cannot keep compiled kernels in {CACHE_FOLDER}: {error}.", RuntimeWarning, stacklevel=2)
