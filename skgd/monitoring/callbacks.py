"""scikit-learn's callbacks: a fit is a task, and each of its iterations or epochs is a task of it.

They came with scikit-learn 1.9; with an older one estimators have no `set_callbacks`, and everything else works.
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

    class CallbackSupportMixin:  # type: ignore[no-redef]  # where there is no other
        """In place of scikit-learn's, which is not there yet."""

        @property
        def set_callbacks(self):
            raise AttributeError(f"set_callbacks needs scikit-learn 1.9 or later, and this is {sklearn.__version__}.")


class Tasks:
    """Watches a fit for the callbacks of an estimator, and ends it where one of them says so.

    Parameters
    ----------
    estimator : estimator with `CallbackSupportMixin`
        Its context must have been initialised.
    data : dict
        X, y and metadata, as hooks are given them.
    attributes : callable
        Fitted attributes of the estimator at raw coefficients W (d, K) and b (K,).
    """

    def __init__(self, estimator: Any, data: dict[str, Any], attributes: Callable[..., dict[str, Any]]) -> None:
        self.context, self.data, self.attributes = estimator._callback_fit_ctx, {"estimator": estimator, **data}, attributes
        self.context.call_on_fit_task_begin(**self.data)
        self.iteration: Any = self._begun(None)

    def __call__(self, iteration: int, W: np.ndarray, b: np.ndarray) -> bool:
        here = partial(self.attributes, W, b)
        ends = self.iteration.call_on_fit_task_end(**self.data, reconstruction_attributes=here)
        self.iteration = None if ends else self._begun(here)
        return ends

    def finish(self) -> None:
        """Close the iteration that never ended, because the fit had, without data; then the fit."""
        if self.iteration is not None:
            self.iteration.call_on_fit_task_end(estimator=self.data["estimator"])
        self.context.call_on_fit_task_end(**self.data, reconstruction_attributes={})

    def _begun(self, here: Callable[[], dict[str, Any]] | None) -> Any:
        """The task of the next iteration, which starts where the last one ended, if there was one."""
        iteration = self.context.subcontext(task_name="iteration")
        iteration.call_on_fit_task_begin(**self.data, reconstruction_attributes=here)
        return iteration
