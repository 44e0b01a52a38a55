"""AutoGraph: Python source to Python source whose operators come from a namespace that it is given.

    f = tracejit.autograph.convert(fn)          # runs on plain NumPy with the same results
    print(tracejit.autograph.to_source(fn))     # what the converted code looks like

Reading order:
    namespace    the operators that converted code calls, and the scope of its outer names
    parse        a live function's tree, with true line numbers, checked against the code that runs
    mangling     private names of classes
    scopes       where each name lives
    uses         what expressions do to variables
    statements   what single statements do to variables
    liveness     which variables are read later; what loops carry and branches yield
    definedness  which variables have a value
    exits        how control may leave statements
    jumps        break, continue, return as flags and values
    matching     match as chains of if
    rewriting    the walk and the nodes that all families share
    names        globals, builtins, closure cells
    attributes   loads of attributes and items
    assignments  everything that stores
    lifting      blocks and waiting expressions as functions
    branches     if
    loops        while, for
    trying       try, raise
    calls        calls
    comprehensions  comprehensions, list displays
    texts        f-strings
    conditions   truth: tests, and, or, not, comparisons, assert
    converter    the families joined: one function's tree rewritten
    load         converted trees as live functions
    policy       which code is the user's
    patterns     whether a value has the form of a pattern of match
    plain        the namespace of plain Python
    frames       from a frame to the user's expression; folded tracebacks
    entry        `convert` and `to_source`
"""
from tracejit.autograph.entry import convert, to_source
from tracejit.autograph.frames import fold_traceback, span_of_frame
from tracejit.autograph.namespace import Namespace, Scope
from tracejit.autograph.plain import PlainNamespace

__all__ = ["Namespace", "PlainNamespace", "Scope", "convert", "fold_traceback", "span_of_frame", "to_source"]
