"""Kernel IR to LLVM text, for processors.

Reading order:
    target                what code is emitted for
    text, types           LLVM text under construction; how it spells element types
    places                where instructions go
    lanes                 how many lanes a vector loop gets
    emitter               the whole program
    emitter_functions, emitter_frame       functions, their buffers and exits
    emitter_control, emitter_vector, emitter_reductions, emitter_streams   statements and loops
    emitter_expressions, emitter_conversions, integer_math                 values
    emitter_addresses     where elements are
    emitter_tiles, tile_functions          blocks of matrices
    vector_math           elementary functions inline
    check                 check mode
"""
