"""What is not compiled as it should; each is expected to fail, and removed when it does not.

Flows in: nothing.  Flows out: names of programs, of those whose trace does not end, and of workloads.
"""

NOT_YET = set("""
    gauss_seidel

    loop_over_a_tail

    slices_with_traced_bounds


""".split())
UNENDING: set[str] = set()
WORKLOADS_NOT_YET = set("""
    sieve
""".split())
RANDOM_NOT_YET = True    # random programs, compiled
