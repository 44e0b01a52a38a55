"""The native half of the run-time layer, written in a small systems language with Python's syntax.

Reading order:
    words.py       the vocabulary: memory, atomics, C functions, data
    operations.py  each operation as LLVM instructions
    translate.py   Python syntax trees -> LLVM text
    signals.py     exceptions that end long loops, also in chunks
    pool.py        thread pool
    blocks.py      recycling allocator
    stacks.py      growing stacks
    turns.py       turns on memory that calls change in place
    arrays.py      output arrays, reference counts
    layout.py      where state is kept, as far as Python sees it
    frame.py       the tables that describe a specialisation, and the frame of one call
    matching.py    checks of the arguments, filling the slots
    results.py     allocation of outputs, building the result
    entry.py       the vectorcall entry and the heap type's functions
    host.py        what compiled code calls: Python callables
"""
