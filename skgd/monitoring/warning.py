"""Warnings that point at a line of the user's code, however deep inside this package they arise."""

from __future__ import annotations

import sys
import warnings

OURS = ("skgd.", "sklearn.base", "contextlib")  # beginnings of the names of modules between a user's line and a warning


def warn(message: str, category: type[Warning]) -> None:
    """Warn, and name the innermost line that is neither in this package nor in what scikit-learn wraps around `fit`."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(OURS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
