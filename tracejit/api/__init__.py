"""Joins tracing and the compiler: what users call.

Reading order:
    function    `tj.function`: calls, specialisations, errors
    shapes      which sizes become symbols
    signature   inputs of a trace -> what dispatch checks
    results     outputs of a trace -> what dispatch builds, and what is stored after the call
    executor    trace -> compiled specialisation
    cleaning    arguments that dispatch does not take as they are
    failures    errors of compiled code, with the user's line
    explain     why there is another trace
    stages      the texts of every stage
    tensor      `Tensor`, and its eager operations
"""
