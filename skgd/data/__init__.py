"""Rows of X with their targets and weights, in memory or in partitions, and sums over them.

`queries.py` lists the sums that an objective may ask for.
"""
