"""How a benchmark measures and what it leaves: turns of all ways in one go, medians, a file of results.

Other programs share a machine's cores. So the ways of a benchmark take turns, a ratio is the median of the turns'
ratios, and where the work is done by one thread its time is that of the processor, not of the wall.
"""

from measuring.results import Claim, leave, machine
from measuring.turns import interleaved

__all__ = ["Claim", "interleaved", "leave", "machine"]
