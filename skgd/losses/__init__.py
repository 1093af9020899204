"""The losses and their derivatives by the scores, one class per loss.

`protocol.py` states what a loss has to define.  `registry.py` lists the losses by their names.
"""
