"""Support for scikit-learn's callbacks: a fit is a task, and each of its iterations or epochs is a subtask.

Callbacks were introduced in scikit-learn 1.9.  With an older version, estimators have no `set_callbacks`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import sklearn

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]  # the import above has failed
        """A stand-in for the class of the same name in newer versions of scikit-learn."""

        @property
        def set_callbacks(self):
            raise AttributeError(f"set_callbacks needs scikit-learn 1.9 or later, and this is {sklearn.__version__}.")


class Tasks:
    """A watcher of a fit that calls the callbacks of an estimator, and ends the fit if one of them asks for it.

    Parameters
    ----------
    estimator : estimator with `CallbackSupportMixin`
        The estimator that is fitted.  Its callback context must have been initialised.
    data : dict
        The arguments X, y and metadata of the hooks.
    attributes : callable
        Makes the fitted attributes of the estimator from raw coefficients W (d, K) and intercepts b (K,).
    """

    def __init__(self, estimator: Any, data: dict[str, Any], attributes: Callable[..., dict[str, Any]]) -> None:
        self.context, self.data, self.attributes = estimator._callback_fit_ctx, {"estimator": estimator, **data}, attributes
        self.context.call_on_fit_task_begin(**self.data)
        self.iteration: Any = self._begin_iteration(None)

    def __call__(self, iteration: int, W: np.ndarray, b: np.ndarray) -> bool:
        here = partial(self.attributes, W, b)
        ends = self.iteration.call_on_fit_task_end(**self.data, reconstruction_attributes=here)
        self.iteration = None if ends else self._begin_iteration(here)
        return ends

    def finish(self) -> None:
        """End the task of the fit.  If the task of a next iteration has begun, end that first, without data."""
        if self.iteration is not None:
            self.iteration.call_on_fit_task_end(estimator=self.data["estimator"])
        self.context.call_on_fit_task_end(**self.data, reconstruction_attributes={})

    def _begin_iteration(self, here: Callable[[], dict[str, Any]] | None) -> Any:
        """Begin the task of the next iteration; `here` makes the attributes at the end of the last one, if there was one."""
        iteration = self.context.subcontext(task_name="iteration")
        iteration.call_on_fit_task_begin(**self.data, reconstruction_attributes=here)
        return iteration
