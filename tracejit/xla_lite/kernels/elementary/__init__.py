"""Elementary functions, written once over an abstract builder.

builder                what a function may use
common                 coefficients by name, reduction by ln2
exponential, logarithm, trigonometric, inverse_trigonometric, hyperbolic, power, error_functions, gamma
piecewise              polynomials by table
remainder              exact division with remainder
representation         nextafter, frexp, ...
functions              all of them by name
coefficients, tables   numbers, made by tools/generate_coefficients.py
numpy_builder          the builder over NumPy arrays: the oracle of code generators
"""
