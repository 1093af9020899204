"""Compilation of functions by Numba, the cache of compiled kernels, and the threads that run them.

No other folder imports Numba.
"""
