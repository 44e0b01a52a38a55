"""Python call -> graph.

Reading order:
    context     the running trace: scopes, guards, decisions, restarts
    spans       the user's line
    sizes       `Size`: a symbolic dimension as Python code sees it
    arrays      `Array`: the tracer, its operators, mutation and views
    methods     the methods of ndarray on it
    implements  the table of NumPy functions, filled by the NumPy front end
    building    what NumPy functions are written with
"""
