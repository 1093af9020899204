"""The first passes over partitions, and online learning.

All code here reads each row once, in the order in which the rows come.
"""
