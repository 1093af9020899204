"""The cache of compiled kernels: its folder, who may write to it, and how a fit survives an error of the disk.

Numba's cache consists of pickles.  Whoever can write to it can run code with the rights of the user who reads it.  So the
cache is a folder to which only the user can write.  If there is no such folder, kernels are compiled in memory.

The name of the folder is a digest of all compiled code.  Numba itself only checks whether the source file of a kernel has
changed, and not the files of the losses, rows and update rules that are compiled into it.
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

config: Any = numba.config  # typed as Any because its attributes are created at run time
NUMBA_VERSION: str = numba.__version__


def digest() -> str:
    """A digest of all compiled sources, of the version of Numba and of the processor.

    Code that was compiled from other sources or for another processor must never run.  Modules without compiled functions do
    not count.  All modules of the losses count, because they share methods and constants, and so do the modules that set the
    options of the compiler.
    """
    platform = numba.__version__, llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    total = hashlib.sha256(" ".join(platform).encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        source = path.read_bytes()
        marked = re.search(rb"^@(kernel|linked|struct|separable)\b|\bstruct\(cls\)", source, re.MULTILINE)
        if marked or path.parent.name == "losses" or path.name in ("jit.py", "linking.py"):
            total.update(path.name.encode() + source)
    return total.hexdigest()[:16]


def cache_folder() -> Path | None:
    """The folder of compiled kernels, in NUMBA_CACHE_DIR if it is set, else in the user's cache folder.

    It is created if it does not exist.  None, with a warning, if it cannot be created or if other users can write to it.
    """
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
    """Raise PermissionError if other users could put files into the folder, or replace the folder by their own.

    The parent folders may be writable for their group, because many users are the only member of their group.  The folder
    itself may be writable for its group if it belongs to root, as in containers that run under any user.
    """
    if sys.platform == "win32":  # there a user's folders belong to the user alone, and have no mode
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
    """Numba's cache of a kernel, in `CACHE_FOLDER`.  If a file cannot be read or written, the kernel is compiled again."""

    _unsaved = False

    def __init__(self, function) -> None:
        configured = config.CACHE_DIR
        config.CACHE_DIR = str(CACHE_FOLDER)
        try:
            super().__init__(function)
        finally:
            config.CACHE_DIR = configured

    def load_overload(self, sig, target_context):
        """The compiled code for a signature; None if the cache does not have it or the file is damaged."""
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # a damaged pickle may raise any exception
            with suppress(OSError):
                self.flush()
            return None
        # If two processes create a cache at the same time, the index of one may name a file that the other has written.
        return found if found is not None and found.signature.args == sig else None

    def save_overload(self, sig, data) -> None:
        """Save compiled code; if that fails, warn once."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            if not Cache._unsaved:
                Cache._unsaved = True
                warnings.warn(f"skgd cannot keep compiled kernels in {CACHE_FOLDER}: {error}.", RuntimeWarning, stacklevel=2)
