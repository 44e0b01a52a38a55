"""Geometry: distances, areas, rotations, containment.

Flows in: NumPy arrays.  Flows out: rows of the program table.
"""

import numpy as np

from tests.programs.program import function

EARTH_RADIUS_KM = 6371.0


def pairwise_distances(a, b):
    return np.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(-1))


def nearest_neighbour(points, queries):
    """Index and distance of the nearest point to each query, by the expanded square."""
    d2 = np.sum(queries**2, axis=1)[:, None] - 2 * queries @ points.T + np.sum(points**2, axis=1)
    index = d2.argmin(axis=1)
    return index, np.sqrt(np.maximum(np.take_along_axis(d2, index[:, None], axis=1)[:, 0], 0))


def rotate(points, angle, axis):
    """Rotation by Rodrigues' formula; the axis is a shape-3 list, as users pass it."""
    k = np.array(axis, dtype=float)
    k = k / np.linalg.norm(k)
    c, s = np.cos(angle), np.sin(angle)
    return points * c + np.cross(k, points) * s + np.outer(points @ k, k) * (1 - c)


def triangle_areas(vertices, faces):
    """vertices f64[v, 3], faces i64[f, 3]."""
    a, b, c = vertices[faces[:, 0]], vertices[faces[:, 1]], vertices[faces[:, 2]]
    normal = np.cross(b - a, c - a)
    double = np.linalg.norm(normal, axis=1)
    return 0.5 * double, normal / double[:, None]


def polygon_area_and_centroid(x, y):
    """The shoelace formula."""
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    cx = ((x + np.roll(x, -1)) * cross).sum() / (6 * area)
    cy = ((y + np.roll(y, -1)) * cross).sum() / (6 * area)
    return abs(area), (cx, cy)


def haversine(lat1, lon1, lat2, lon2):
    lat1, lon1, lat2, lon2 = map(np.radians, (lat1, lon1, lat2, lon2))
    h = np.sin((lat2 - lat1) / 2) ** 2 + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(h))


def inside_box(points, low, high):
    inside = np.all((points >= low) & (points <= high), axis=1)
    return inside, inside.mean()


def bounding_sphere(points):
    centre = 0.5 * (points.min(axis=0) + points.max(axis=0))
    return centre, np.max(np.linalg.norm(points - centre, axis=1))


def quaternion_product(p, q):
    pw, px, py, pz = p.T
    qw, qx, qy, qz = q.T
    return np.stack(
        [
            pw * qw - px * qx - py * qy - pz * qz,
            pw * qx + px * qw + py * qz - pz * qy,
            pw * qy - px * qz + py * qw + pz * qx,
            pw * qz + px * qy - py * qx + pz * qw,
        ],
        axis=-1,
    )


def barycentric(p, a, b, c):
    def det(u, v):
        return u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]

    total = det(b - a, c - a)
    v, w = det(p - a, c - a) / total, det(b - a, p - a) / total
    inside = (v >= 0) & (w >= 0) & (v + w <= 1)
    return np.column_stack([1 - v - w, v, w]), inside


PROGRAMS = [
    function(
        pairwise_distances, lambda r: [(r.random((12, 3)), r.random((9, 3))), (r.random((5, 3)), r.random((20, 3)))]
    ),
    function(
        nearest_neighbour,
        lambda r: [(r.random((30, 2)), r.random((12, 2))), (r.random((11, 2)), r.random((7, 2)))],
        rtol=1e-7,
    ),
    function(rotate, lambda r: [(r.random((10, 3)), 0.3, [0, 0, 1]), (r.random((4, 3)), 1.2, [1, 2, 3])]),
    function(triangle_areas, lambda r: [(r.random((20, 3)), np.arange(3 * n).reshape(n, 3)) for n in (6, 4)]),
    function(
        polygon_area_and_centroid,
        lambda r: [
            (np.cos(t) + 0.1 * r.random(n), np.sin(t)) for n in (12, 31) for t in [2 * np.pi * np.arange(n) / n]
        ],
    ),
    function(haversine, lambda r: [(48.1, 11.6, 180 * r.random(n) - 90, 360 * r.random(n)) for n in (20, 35)]),
    function(inside_box, lambda r: [(r.random((n, 3)), np.full(3, 0.1), np.array([0.9, 0.8, 0.7])) for n in (40, 25)]),
    function(bounding_sphere, lambda r: [(r.normal(size=(n, 3)).astype("f4"),) for n in (40, 25)]),
    function(quaternion_product, lambda r: [(r.normal(size=(n, 4)), r.normal(size=(n, 4))) for n in (10, 3)]),
    function(
        barycentric,
        lambda r: [
            (r.random((n, 2)), np.array([0.0, 0.0]), np.array([1.0, 0.1]), np.array([0.2, 1.0])) for n in (20, 33)
        ],
        rtol=1e-10,
    ),
]
