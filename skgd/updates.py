"""Update rules: how a step is made of a gradient.  Pure functions with explicit state, written as in their papers.

``step(count, rate, unit, theta, gradient, memory, penalty, l1, l2)``
    moves theta (D, K) in place, given the gradient (D, K) of the objective's smooth part, the number of the step
    (from 1), its rate, the scale of the scores of each column, `unit` (K,), the rule's memory (2, D, K), zero at
    first, and the penalty with its weights l1 and l2 (D,).  The proximal step uses the rule's own metric.

Here theta is coefficients in the solver's coordinates and the loops stand inside the methods: structs hold scalars.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ._jit import struct


@struct
class Momentum(NamedTuple):
    """Gradient steps: plain (momentum 0), heavy-ball (Polyak, 1964), or Nesterov's (Sutskever et al., 2013, eq. 4)."""

    momentum: float = 0.0
    nesterov: bool = True

    def step(self, count, rate, unit, theta, gradient, memory, penalty, l1, l2):
        for j in range(theta.shape[0]):
            for k in range(theta.shape[1]):
                move = -rate * gradient[j, k]
                if self.momentum != 0.0:
                    velocity = self.momentum * memory[0, j, k] + move
                    memory[0, j, k] = velocity
                    move = self.momentum * velocity + move if self.nesterov else velocity
                theta[j, k] = penalty.proximal_step(theta[j, k] + move, rate, l1[j], l2[j])


@struct
class Adam(NamedTuple):
    """First and second moments with bias correction (Kingma and Ba, 2015, algorithm 1)."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def step(self, count, rate, unit, theta, gradient, memory, penalty, l1, l2):
        correction_1 = 1.0 - self.beta_1**count
        correction_2 = 1.0 - self.beta_2**count
        for j in range(theta.shape[0]):
            for k in range(theta.shape[1]):
                g = gradient[j, k]
                memory[0, j, k] = self.beta_1 * memory[0, j, k] + (1.0 - self.beta_1) * g
                memory[1, j, k] = self.beta_2 * memory[1, j, k] + (1.0 - self.beta_2) * g * g
                metric = rate * unit[k] / (np.sqrt(memory[1, j, k] / correction_2) + self.epsilon * unit[k])
                moved = theta[j, k] - metric * (memory[0, j, k] / correction_1)
                theta[j, k] = penalty.proximal_step(moved, metric, l1[j], l2[j])
