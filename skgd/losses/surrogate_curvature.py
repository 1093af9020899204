"""Surrogate curvature: it replaces a second derivative that is too small for Newton's method.

Newton's method divides derivatives by second derivatives.  A row whose score is far from its target may have a large derivative
and a second derivative of nearly zero.  Then the step would be far too long or infinite.  Two remedies are used.

Damping of far rows
    The log loss, Poisson and gamma losses have a small but positive second derivative everywhere.  If the score is farther than
    `DAMPED_BEYOND` from the target, it is replaced by a larger curvature, which makes steps safe but shorter.  Near the minimum
    this would slow the fit down, and the model would fall by less than F.  There ``loss.with_own_curvature()`` is used instead.
Curvature of linear pieces
    Where a loss is linear, its second derivative is zero, and the Hessian may be singular.  It is replaced by a share of the
    majorising curvature: the curvature of the parabola that lies above the loss and touches it at the score and at its mirror
    image (Huber and Ronchetti, 2009, section 7.8).
"""

from __future__ import annotations

# The distance of a score from its target, in logits or logarithms, beyond which a row is damped.  At this score the derivative
# of the log loss is 0.98 of its limit, so the derivative hardly changes for larger scores.  Together with the penalty on
# samples (`Objective.sample`), damping reduced the time of a fit of the log loss to the standardised columns of a9a from 157 to
# 48 ms.
DAMPED_BEYOND = 4.0

# The share of the majorising curvature where the loss is linear and rises.  With all of it, steps would be so short that the
# fit takes the small decreases for convergence.
RISING_SHARE = 0.01

# The share of the majorising curvature where a smoothed ramp is zero.  With a larger one, rows of large weight and zero loss
# would shorten the steps that other rows need.  With a tenth of `RISING_SHARE` fits on 14 data sets took 10 % less time, and
# fewer fits missed `tol`.
FLAT_SHARE = 0.001
