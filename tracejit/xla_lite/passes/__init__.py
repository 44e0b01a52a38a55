"""Graph-to-graph passes.

Reading order:
    manager          `graph_pass`, `run_passes`: invariants, verification, blame
    regions          a pass applied inside regions
    dce, cse         dead nodes go, equal nodes become one
    rewriting        the pattern language of rewrite rules, and their driver
    fold             rules: what is known is computed now
    algebra          rules: identities of elementwise ops
    view_rules       rules: chains of views become one view
    reduction_rules  rules: reductions and contractions see through views
    canonicalize     all rules together, the first pass of every compilation
    products         matrix products in one form
    loop_forms, element_loops   loops over elements that run inside of one kernel
    loop_to_map, runs, vectorise   loops whose rounds don't see each other become maps
    loop_claims, counted_loops   the same where a test before the loop shows that it is safe
    roots, clusters, fuse   which nodes share a loop nest
    tiles, sweeps    arrays put together of tiles; updates of one round in one pass over the arrays
    buffers          where every value lives
    pipeline         all of them in order
"""
