"""Rows of X with their targets and weights, in memory or in partitions, and sums over these rows.

`queries.py` defines the sums that an objective may ask for.
"""
