"""What compiled code runs on: linking, disk cache, threads, memory, and the native entry that calls it.

Reading order:
    engine.py           LLVM text -> object -> linked code, for this machine; assembly for any
    object_cache.py     objects on disk
    locks.py            one lock, and what a fork waits for
    abi.py              where CPython and NumPy keep things
    native/             the native half, in its own small language
    library.py          compiles and links the native half
    threads.py          the pool
    buffers.py          output memory
    host.py             what compiled code may call
    turns.py            memory that calls take turns on
    blas.py             NumPy's matrix products
    signature.py        how a call and its result are described
    tables.py           the same for native code
    callables.py        the heap type of compiled functions
    dispatch.py         make a callable, give it specialisations
    python_dispatch.py  the same checks in Python
"""
