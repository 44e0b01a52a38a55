"""NumPy's functions on tracers, written with graph ops."""
