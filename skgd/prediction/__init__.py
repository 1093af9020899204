"""Scores of new rows, and folding, which turns a pipeline into one linear model."""
