"""The command line: `tracejit show | bench | info | cache | options`.

Reading order: main.py (arguments), show.py, info.py, cache.py, bench.py, harness/ (fair timing against other systems).
"""
