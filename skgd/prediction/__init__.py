"""Scores of new rows, and the folding of a pipeline into one linear model."""
