"""The algorithms that minimise an objective, one per file, and the compiled loops that they call.

Each algorithm takes an objective and a starting point, and returns a `Solution`.
"""
