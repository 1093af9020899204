"""Observation of a fit: its history, validation scores, callbacks, warnings and convergence plots."""
