"""How sure a share is that was counted on few."""

from math import sqrt


def wilson(hits: int, count: int) -> tuple[float, float]:
    """95 % interval (low, high) of a share, hits of count (Wilson 1927)."""
    z = 1.959964
    middle, spread = hits + z * z / 2, z * sqrt(hits * (count - hits) / count + z * z / 4)
    return max(0.0, (middle - spread) / (count + z * z)), min(1.0, (middle + spread) / (count + z * z))
