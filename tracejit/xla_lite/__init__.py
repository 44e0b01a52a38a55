"""Graph to executable: passes over the graph, kernels in their own IR, native code, and what runs it.

Reading order:
    passes/      graph -> graph: canonicalise, fold, CSE, DCE, fuse
    kernels/     fused graph -> Kernel IR: the IR, its printer and interpreter, one generator per kind of loop nest
    cpu/         Kernel IR -> LLVM
    runtime/     buffers, threads, object cache, native dispatch
    compile.py   joins them
"""
