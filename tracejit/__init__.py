"""tracejit: trace Python/NumPy functions into fused native kernels."""
