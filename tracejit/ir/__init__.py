"""The graph IR: typed SSA with regions, its text, its verdict, its meaning in NumPy.

Reading order:
    op          `Op`: the one record that says everything about an operation
    graph       `Graph`, `Node`, `Value`; building with interning
    attributes  attribute values: hashing that keeps 0.0 and -0.0 apart, and their text
    printer     graph -> text
    parser      text -> graph; `parse(print(g)) == g`
    verifier    raises unless operands precede uses and types follow the type rules
    evaluator   runs any graph with NumPy, op by op: the oracle
    rewriting   copies of graphs with nodes replaced, inlined or dropped
"""
