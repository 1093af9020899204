"""Converters of both estimators for skl2onnx: with all losses, all numbers of classes or targets, alone or in pipelines.

::

    import skgd.onnx
    from skl2onnx import to_onnx

    skgd.onnx.register()
    onnx_model = to_onnx(model, X[:1].astype(np.float32))

An ONNX classifier has two outputs: labels, and a float for each class.  The floats are probabilities if the loss has them.
Otherwise, and with the option ``raw_scores=True``, they are scores.  With the option ``zipmap=False`` they are an array.  This
module needs the extra ``skgd[onnx]``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from .estimators.classifier import WITH_PROBABILITIES, GDClassifier
from .estimators.parameters import LOG_LINK
from .estimators.regressor import GDRegressor

__all__ = ["register"]


def register() -> None:
    """Register the converters of GDClassifier and GDRegressor with skl2onnx; a second call changes nothing.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    """
    try:
        from skl2onnx import update_registered_converter
        from skl2onnx.common.shape_calculator import (
            calculate_linear_classifier_output_shapes,
            calculate_linear_regressor_output_shapes,
        )
    except ImportError as error:
        raise ImportError("skgd.onnx needs skl2onnx: pip install 'skgd[onnx]'.") from error
    options = {
        "zipmap": [True, False, "columns"],
        "raw_scores": [True, False],
        "output_class_labels": [True, False],
        "nocl": [True, False],
    }
    shapes = calculate_linear_classifier_output_shapes
    update_registered_converter(GDClassifier, "SkgdGDClassifier", shapes, _convert_classifier, options=options)
    shapes = calculate_linear_regressor_output_shapes
    update_registered_converter(GDRegressor, "SkgdGDRegressor", shapes, _convert_regressor)


class _Graph:
    """Adds nodes to the graph that skl2onnx builds, in the dtype of the input."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        from skl2onnx.common.data_types import guess_numpy_type, guess_proto_type

        self.scope, self.container = scope, container
        kind = operator.inputs[0].type
        self.dtype, self.proto = guess_numpy_type(kind), guess_proto_type(kind)
        if self.dtype not in (np.float32, np.float64):
            raise ValueError("X of an ONNX model of skgd has to be of float32 or float64: declare it so.")

    def constant(self, values: np.ndarray, proto: int | None = None) -> str:
        """Add an array in the dtype of the input, or in the ONNX type `proto`, and return its name."""
        name = self.scope.get_unique_variable_name("constant")
        array = np.asarray(values)
        self.container.add_initializer(name, self.proto if proto is None else proto, list(array.shape), array.ravel().tolist())
        return name

    def node(self, kind: str, *inputs: str, output: str | None = None, **how: Any) -> str:
        """Add a node of this kind with these attributes, and return the name of its output."""
        output = self.scope.get_unique_variable_name(kind.lower()) if output is None else output
        self.container.add_node(kind, list(inputs), output, name=self.scope.get_unique_operator_name(kind), **how)
        return output

    def scores(self, model: Any, X: str) -> str:
        """Add the scores X W + b (n, K) of a model, and return their name."""
        coef = model.coef_.toarray() if sp.issparse(model.coef_) else np.atleast_2d(model.coef_)
        W, b = coef.T.astype(self.dtype), np.asarray(model.intercept_, self.dtype)
        return self.node("Add", self.node("MatMul", X, self.constant(W)), self.constant(b))


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Add the predictions of a GDRegressor: its scores, or their exponential."""
    graph, model = _Graph(scope, operator, container), operator.raw_operator
    scores = graph.scores(model, operator.inputs[0].full_name)
    graph.node("Exp" if model.loss in LOG_LINK else "Identity", scores, output=operator.outputs[0].full_name)


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Add the predictions of a GDClassifier: labels, and probabilities or scores."""
    graph, model = _Graph(scope, operator, container), operator.raw_operator
    labels, values = (output.full_name for output in operator.outputs)
    scores = graph.scores(model, operator.inputs[0].full_name)
    binary = len(model.classes_) == 2
    both = graph.node("Concat", graph.node("Neg", scores), scores, axis=1) if binary else scores
    raw = scope.get_options(model, {"raw_scores": False})["raw_scores"] or model.loss not in WITH_PROBABILITIES
    if raw:
        graph.node("Identity", both, output=values)
    elif model.loss == "log_loss":
        graph.node("Sigmoid", both, output=values) if binary else graph.node("Softmax", both, output=values, axis=1)
    else:
        _clipped(graph, both, binary, values)
    _labels(graph, model, both, labels)


def _clipped(graph: _Graph, scores: str, binary: bool, output: str) -> None:
    """Add the probabilities of modified_huber, as `GDClassifier.predict_proba` computes them."""
    one, half, tiny = (graph.constant(np.array([value])) for value in (1.0, 0.5, 1e-30))
    inner = graph.node("Min", graph.node("Max", scores, graph.constant(np.array([-1.0]))), one)
    mapped = graph.node("Mul", graph.node("Add", inner, one), half)
    if not binary:
        mapped = graph.node("Max", mapped, tiny)  # in a row of zeros all classes get the same probability
    total = graph.node("ReduceSum", mapped, graph.constant(np.array([1]), proto=7), keepdims=1)
    graph.node("Div", mapped, total, output=output)


def _labels(graph: _Graph, model: Any, scores: str, output: str) -> None:
    """Add the label with the largest score of each row."""
    from onnx import TensorProto

    which = graph.node("ArgMax", scores, axis=1, keepdims=0)
    if model.classes_.dtype.kind in "iub":
        graph.node("Gather", graph.constant(model.classes_.astype(np.int64), TensorProto.INT64), which, output=output)
    else:
        names = graph.scope.get_unique_variable_name("classes")
        strings = [str(label).encode() for label in model.classes_]
        graph.container.add_initializer(names, TensorProto.STRING, [len(strings)], strings)
        graph.node("Gather", names, which, output=output)
