"""Losses: what one row pays for its scores, with derivatives.  One class a loss.

`protocol.py` says what a loss has to define, and `registry.py` lists the losses by their names.
"""
