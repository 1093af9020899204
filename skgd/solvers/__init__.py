"""Algorithms that minimise an objective, one a file, and the compiled steps that they repeat.

Each takes an objective and a starting point and returns a `Solution`.
"""
