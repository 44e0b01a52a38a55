"""What is not compiled as it should; each is expected to fail, and removed when it does not.

Flows in: nothing.  Flows out: names of programs, of those whose trace does not end, of workloads; seeds of programs.
"""

NOT_YET = set("""
""".split())
UNENDING: set[str] = set()
WORKLOADS_NOT_YET: set[str] = set()
RANDOM_NOT_YET: set[int] = set()
