"""What compiled code runs on: linking, disk cache, threads, memory, and the native entry that calls it.

Reading order:
    engine.py         LLVM text -> object -> linked code, for this machine; assembly for any
    object_cache.py   objects on disk
    abi.py            where CPython and NumPy keep things
    native/           the native half, in its own small language
    library.py        compiles and links the native half
    threads.py        the pool
    buffers.py        output memory
"""
