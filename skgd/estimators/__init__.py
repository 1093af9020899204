"""What scikit-learn sees: GDClassifier and GDRegressor.

Parameters, validation, encoding of targets and fitted attributes are here; numerics are not.
"""
