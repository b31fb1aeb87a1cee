"""How does a run look at a glance? One bar for each ratio against its target, as SVG, on a logarithmic scale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

ROW, LABEL, WIDTH, TOP = 22, 300, 480, 46
DECADES = (0.01, 100.0)
"""What is farther from its target than this is drawn at the edge; the number beside it is true."""
FONT = 'font-family="sans-serif" font-size="12"'
MET, MISSED = "#2f6f8f", "#b3541e"


def bars(scores: Sequence[tuple[str, float]]) -> str:
    """Draw (name, score) pairs; a score of 1 meets the target, and the line stands there."""
    height = TOP + ROW * len(scores) + 16
    target = LABEL + _place(1.0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LABEL + WIDTH + 90}" height="{height}" {FONT}>',
        "<title>Measured ratios against their targets</title>",
        f'<text x="{LABEL}" y="18">times the target (logarithmic); right of the line: met</text>',
    ]
    for tick in (0.01, 0.1, 1.0, 10.0, 100.0):
        at = LABEL + _place(tick)
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{TOP - 8}" y2="{height - 12}" stroke="#d5dbe0"/>')
        parts.append(f'<text x="{at:.1f}" y="{TOP - 14}" text-anchor="middle" fill="#55636e">{tick:g}</text>')
    for number, (name, score) in enumerate(scores):
        y = TOP + number * ROW
        start, end = sorted((target, LABEL + _place(score)))
        colour = MET if score >= 1 else MISSED
        parts.append(f'<text x="{LABEL - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{start:.1f}" y="{y}" width="{max(end - start, 1):.1f}" height="15" fill="{colour}"/>')
        parts.append(f'<text x="{LABEL + WIDTH + 8}" y="{y + 12}">{score:.2f}</text>')
    parts.append(f'<line x1="{target:.1f}" x2="{target:.1f}" y1="{TOP - 8}" y2="{height - 12}" stroke="#1d2b36"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _place(score: float) -> float:
    low, high = (math.log10(one) for one in DECADES)
    return WIDTH * (min(max(math.log10(max(score, 1e-9)), low), high) - low) / (high - low)
