"""What a fit tells of itself: its history, validation scores, callbacks, warnings and convergence plots."""
