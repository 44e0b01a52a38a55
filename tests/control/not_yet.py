"""What is not compiled as it should; each is expected to fail, and removed when it does not.

Flows in: nothing.  Flows out: names of programs, of those whose trace does not end, and of workloads.
"""

NOT_YET = set("""
""".split())
UNENDING: set[str] = set()
WORKLOADS_NOT_YET: set[str] = set()
