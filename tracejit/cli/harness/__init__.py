"""Fair timing of one workload on several systems, each in its own process.

Reading order: workload.py (what is timed), systems.py (who runs it), worker.py (one system's process), pool.py (starts
workers and talks to them), steady.py (interleaved rounds), cold.py (first calls, disk caches, many sizes, imports),
machine.py (copy bandwidth, FMA peak), report.py (table and JSON).
"""
