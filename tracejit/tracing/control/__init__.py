"""Control flow while tracing: branches and loops on traced values become regions.

Reading order:
    optional   values that may be missing: None, or a variable without a value
    schema     the form of a value: its structure, and the types of what is traced in it
    world      everything that a region may change, before and after it ran
    regions    one region: run, changes collected, the world put back
    branches   if, ternary, and, or
    iteration  what `for` runs over
    streams    generators, and who takes their elements
    loops      for and while: captured first, unrolled where the rules say so
"""
