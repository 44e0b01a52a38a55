"""Graph to graph: derivatives, batching, what is stored and what is computed again.

Flows in:  graphs, and the rules that ops declare.
Flows out: new graphs; the input is never changed.
"""
