"""Quadratic models of the objective, and how they are minimised.

Curvature, quasi-Newton and proximal metrics, least squares, and coordinates in which problems become small.
"""
