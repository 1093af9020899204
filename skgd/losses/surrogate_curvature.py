"""Surrogate curvature: what rows count with where their second derivative vanishes, but their derivative does not.

Newton's method divides derivatives by curvature.  Far on the wrong side of its target a row may have a large derivative and
next to no second derivative, so that the step would be far too long, or have no end.  Two remedies are used.

Damped rows
    The log loss, Poisson and gamma losses have a small but positive second derivative everywhere.  From the distance
    `DAMPED_BEYOND` on, their rows count with a larger curvature, which makes steps safe but shorter.  Near the minimum this
    would slow the fit down, and the model would promise too little: there ``loss.with_own_curvature()`` is used instead.
Rows on straight lines
    Where a loss is linear its second derivative is zero, and the metric would be singular along such rows.  They count with
    a share of the majorising curvature, which is the curvature of the parabola that lies above the loss and touches it at
    the score and at its mirror image (Huber and Ronchetti, 2009, section 7.8).
"""

from __future__ import annotations

# Distance of a score from its target, in logits or logarithms, beyond which rows are damped.  At this score the derivative of
# the log loss is 0.98 of its limit, so it hardly tells the score from any larger one.  Damping reduced a fit of the log loss
# to the standardised columns of a9a from 157 to 48 ms, together with a penalty on samples (`Objective.sample`).
DAMPED_BEYOND = 4.0

# Share of the majorising curvature for rows where the loss rises along a straight line.  With the whole of it steps become
# short, and a fit mistakes the little that they gain for all there is to gain.
RISING_SHARE = 0.01

# The same share where a smoothed ramp is flat at zero.  It is smaller because heavy flat rows would otherwise hold back the
# step that light rows ask for.  With a tenth of `RISING_SHARE` fits on 14 data sets took 10 % less time, and fewer missed tol.
FLAT_SHARE = 0.001
