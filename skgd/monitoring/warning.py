"""Warnings that point at the line of the user's, however deep in here they come from."""

from __future__ import annotations

import sys
import warnings

OURS = ("skgd.", "sklearn.base", "contextlib")  # modules between the user's line and a warning


def warn(message: str, category: type[Warning]) -> None:
    """Warn of the innermost line that is neither of this package nor what scikit-learn wraps around `fit`."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(OURS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
