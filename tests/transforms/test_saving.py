"""What the way back is handed: the fewest bytes, and of equal ones those that save most work."""
from __future__ import annotations

from tracejit.transforms.saving import INFINITE, SINK, SOURCE, Network


def test_of_equal_cuts_the_one_nearest_to_the_sink_is_taken() -> None:
    network = Network()
    for start, end, room in ((SOURCE, 2, 3), (2, 3, 3), (3, 4, 3), (4, SINK, INFINITE)):
        network.edge(start, end, room)
    assert network.cut() == {SOURCE, 2, 3}


def test_a_smaller_cut_is_taken_wherever_it_is() -> None:
    network = Network()
    for start, end, room in ((SOURCE, 2, 3), (2, 3, 2), (3, 4, 3), (4, SINK, INFINITE)):
        network.edge(start, end, room)
    assert network.cut() == {SOURCE, 2}

