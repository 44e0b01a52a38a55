"""The repository's benchmark: tracejit against NumPy and the systems that are installed beside it.

Reading order: workloads/ (one module per family), __main__.py (arguments); the harness is tracejit/cli/harness.
"""
