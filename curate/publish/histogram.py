"""The histogram of a card: pass rates of all problems, those that were kept, and the band, as SVG.

Owns the drawing: counts in, text out. Must not read anything.
"""

from __future__ import annotations

from collections.abc import Sequence

BINS = 20
"""Bars between 0 and 1."""

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 704, 34, 208

# An image has its own page behind it: the colours follow the reader's scheme, and never the page around it.
_STYLE = """
.page{fill:#fff}.ink{fill:#24292f}.line{stroke:#8c959f}.band{fill:#2da44e;fill-opacity:.14}
.edge{stroke:#1a7f37;stroke-width:1.5;stroke-dasharray:4 3}.all{fill:#8c959f}.kept{fill:#1a7f37}
@media (prefers-color-scheme:dark){.page{fill:#0d1117}.ink{fill:#e6edf3}.band{fill:#3fb950;fill-opacity:.2}
.edge{stroke:#3fb950}.all{fill:#6e7681}.kept{fill:#3fb950}}
"""


def draw(counts: Sequence[int], kept: Sequence[int], low: float, high: float) -> str:
    """Draw a histogram of pass rates.

    Args:
        counts: Problems in each of equally wide bins of the pass rate, the first beginning at 0.
        kept: Those of them that were kept, bin by bin.
        low: The band's lower end, in [0, 1].
        high: The band's upper end, in [0, 1].

    Returns:
        An SVG document; the same for the same numbers. Without a problem it has no bars.
    """
    most = max((*counts, 1))
    step = (_RIGHT - _LEFT) / len(counts)
    scale = (_BOTTOM - _TOP) / most
    place = [_LEFT + (_RIGHT - _LEFT) * share for share in (low, high)]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'font-family="system-ui,sans-serif" font-size="12">',
        f"<title>Pass rates of {sum(counts):,} problems; {sum(kept):,} kept in the band {low:g} to {high:g}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{_HEIGHT}" rx="6"/>',
        f'<rect class="band" x="{place[0]:.1f}" y="{_TOP}" width="{place[1] - place[0]:.1f}" '
        f'height="{_BOTTOM - _TOP}"/>',
    ]
    for position, (count, inside) in enumerate(zip(counts, kept, strict=True)):
        for name, number in (("all", count), ("kept", inside)):
            if number:
                parts.append(
                    f'<rect class="{name}" x="{_LEFT + position * step + 1:.1f}" '
                    f'y="{_BOTTOM - number * scale:.1f}" width="{step - 2:.1f}" height="{number * scale:.1f}"/>'
                )
    parts += [f'<line class="edge" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_BOTTOM}"/>' for x in place]
    parts.append(f'<line class="line" x1="{_LEFT}" y1="{_BOTTOM}" x2="{_RIGHT}" y2="{_BOTTOM}"/>')
    for tick in range(0, 11, 2):
        x = _LEFT + (_RIGHT - _LEFT) * tick / 10
        parts.append(_text(x, _BOTTOM + 16, f"{tick / 10:g}", "middle"))
    parts += [
        _text(_LEFT - 6, _TOP + 4, f"{most:,}", "end"),
        _text(_LEFT - 6, _BOTTOM, "0", "end"),
        _text(_RIGHT, _BOTTOM + 36, "pass rate", "end"),
        _text((place[0] + place[1]) / 2, _TOP - 8, f"band [{low:g}, {high:g}]", "middle"),
        f'<rect class="all" x="{_LEFT}" y="{_BOTTOM + 26}" width="12" height="12"/>',
        _text(_LEFT + 18, _BOTTOM + 36, f"all {sum(counts):,} problems", "start"),
        f'<rect class="kept" x="{_LEFT + 150}" y="{_BOTTOM + 26}" width="12" height="12"/>',
        _text(_LEFT + 168, _BOTTOM + 36, f"kept {sum(kept):,}", "start"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text class="ink" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
