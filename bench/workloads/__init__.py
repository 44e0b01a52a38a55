"""The workloads: each module has a `WORKLOADS` list of NumPy functions and of versions for other systems.

Other systems are imported inside the builders only, in the process that runs them.
"""

MODULES = ("elementwise", "rows", "reductions", "seawater", "calls", "sizes", "control", "polybench", "solver",
           "linalg", "training", "convolution", "derivatives", "recurrent", "loop_gradients")
