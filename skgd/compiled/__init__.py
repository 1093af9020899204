"""Numba's part: how functions are compiled and cached, and the threads that run them.

No other folder imports Numba.
"""
