"""Update rules: how a step is made of a gradient.  Pure functions with explicit state, written as in their papers.

``step(count, rate, unit, theta, gradient, memory, penalty, lower, upper, l2)``
    moves theta (N,) in place, given the gradient (N,) of the objective's smooth part, the number of the step (from 1),
    its rate, the scale `unit` (N,) of the scores of each coefficient's column, the rule's memory (2, N), zero at first,
    and the penalty with its weights lower, upper and l2 (N,).  The proximal step uses the rule's own metric.  The first
    row of the memory is a momentum, if there is one: it is dropped where steps led up.

Here theta is coefficients in the solver's coordinates and the loops stand inside the methods: structs hold scalars.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled.jit import struct


@struct
class Momentum(NamedTuple):
    """Gradient steps: plain (momentum 0), heavy-ball (Polyak, 1964), or Nesterov's (Sutskever et al., 2013, eq. 4)."""

    momentum: float = 0.0
    nesterov: bool = True

    def step(self, count, rate, unit, theta, gradient, optimizer_state, penalty, lower, upper, l2):
        if self.momentum == 0.0:
            for i in range(len(theta)):
                metric = rate * unit[i]
                theta[i] = penalty.proximal_step(theta[i] - metric * gradient[i], metric, lower[i], upper[i], l2[i])
        else:
            for i in range(len(theta)):
                metric = rate * unit[i]
                velocity = self.momentum * optimizer_state[0, i] - metric * gradient[i]
                optimizer_state[0, i] = velocity
                move = self.momentum * velocity - metric * gradient[i] if self.nesterov else velocity
                theta[i] = penalty.proximal_step(theta[i] + move, metric, lower[i], upper[i], l2[i])


@struct
class Adam(NamedTuple):
    """First and second moments with bias correction (Kingma and Ba, 2015, algorithm 1)."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def step(self, count, rate, unit, theta, gradient, optimizer_state, penalty, lower, upper, l2):
        correction_1 = 1.0 - self.beta_1**count
        correction_2 = 1.0 - self.beta_2**count
        for i in range(len(theta)):
            g = gradient[i]
            optimizer_state[0, i] = self.beta_1 * optimizer_state[0, i] + (1.0 - self.beta_1) * g
            optimizer_state[1, i] = self.beta_2 * optimizer_state[1, i] + (1.0 - self.beta_2) * g * g
            metric = rate * unit[i] / (np.sqrt(optimizer_state[1, i] / correction_2) + self.epsilon * unit[i])
            moved = theta[i] - metric * (optimizer_state[0, i] / correction_1)
            theta[i] = penalty.proximal_step(moved, metric, lower[i], upper[i], l2[i])
