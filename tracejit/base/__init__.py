"""What every layer shares: element types, dimensions, array types, pytrees, source spans, errors, options.

Reading order:
    dtypes    the sixteen element types and NumPy's promotion
    dims      symbolic dimensions: polynomials of named sizes
    types     `ArrayType`: dtype and shape, printed the way it is parsed
    trees     pytrees: flatten, unflatten, register
    spans     a place in the user's source, and its picture with a caret
    errors    every error class that users meet
    options   the settings, their environment variables and their scopes
    deep      room for trees that exceed Python's recursion limit
"""
