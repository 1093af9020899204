"""Scores of new rows, and pipelines folded into one linear model."""
