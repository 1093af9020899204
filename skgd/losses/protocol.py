"""Losses: what a row pays for its scores.  One class a loss, written once, for one row's score.

A *separable* loss defines ``value(y, z)``, ``derivative(y, z)`` and, if that is continuous, ``curvature(y, z)`` of one
score; its columns (targets, or classes against the rest) are independent problems.  ``Softmax`` couples the columns of a
row and works on a tile of rows at once, and so does ``SoftLabels``, whose labels are probabilities of the classes.  Kernels
see the same methods of either kind:

``loss_and_residuals(y, s, Z)``
    turn scores Z (K, m) of m rows with targets y (a row per target, or the class codes) and weights s (m,) into
    weighted derivatives, in place; return the weighted sum of the values.
``column_losses_and_residuals(y, s, Z, totals)``
    do the same, and add the weighted sum of each column's values to ``totals`` (K,); a coupled loss has one sum, the first.
``curvatures(y, s, Z)``
    turn scores into what `curvature_block` needs, in place.
``curvature_block(s, Z, k, l, c)``
    write the weighted second derivative by the scores k and l of every row into c (m,).
``coupled()``
    do the columns interact?

Solvers also ask ``constant_curvature()`` (is the curvature constant?), ``smooth()`` (is the derivative continuous?),
``has_flat_rows()`` (do rows that pay nothing have no curvature either?), ``bounded_curvature()`` (does
``curvature_bound()`` bound the curvature everywhere?), ``curvature_bound()`` (the curvature per unit weight that sizes
steps; where there is none, the reciprocal of the natural size of a score), ``scores_are_targets()`` (are scores in the unit
of the targets, or log-odds, margins, logarithms?) and ``intercept_only_scores(y, s)`` (the best scores that ignore X, or
close to them: where solvers start).  Estimators ask which targets are ``valid(y)``, and what to say of others:
``domain()``.

A loss of linear and quadratic pieces says which by ``ramps(y)`` (`kinks.Ramps`), for the interior-point method.
A loss with kinks has a field ``width`` of the parabolas that round them: 0 is the loss itself, and ``smooth()`` is false.
One whose curvature vanishes where its slope does not lets such rows count with more, or steps would have no end;
``with_own_curvature()`` is the loss without that.  Where they do from a certain distance on, it is a field ``far``.
"""
