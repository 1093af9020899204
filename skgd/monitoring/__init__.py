"""What a fit tells while it runs: its history, validation scores, callbacks, warnings, pictures."""
