"""Kernel IR and the generators that write it, one for each kind of loop nest.

Reading order:
    kernel_ir         the constructs: all that backends see
    printer, verify, interpreter, scalar_functions   its text, its rules, its meaning
    expressions       sizes and indices as expressions
    ranges, merging, simplify, versions  what is known of integers, and what it makes needless
    writer            statements under construction
    scalars           the scalar code of ops, run over expressions
    elements          the value of any op of a body at any index
    frame             what every generator starts with
    collapse, nests   fewer axes; the usual loops
    folding           reductions inside kernels
    elementwise, stages, rows, columns, full, cumulative, pieces, scatter, sweep, searching, sorting, contraction
                      the generators
    generate          which generator makes which kind
    elementary/       exp, log, sin, ... over an abstract builder
"""
