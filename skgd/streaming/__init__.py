"""First passes over partitions, and online learning.

Everything here sees rows once, in the order in which they come.
"""
