"""Warnings that name the line of the user's code, however deep inside this package they are raised."""

from __future__ import annotations

import sys
import warnings

OURS = ("skgd.", "sklearn.base", "contextlib")  # prefixes of the modules whose frames are not the user's code


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the innermost line that is neither in this package nor in scikit-learn's wrapper of `fit`."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and f"{frame.f_globals.get('__name__', '')}.".startswith(OURS):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
