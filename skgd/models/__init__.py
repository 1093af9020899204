"""Quadratic models of the objective, and the methods that minimise them.

Here are Hessians and what they cost, quasi-Newton and proximal metrics, least squares, and the row space of X.
"""
