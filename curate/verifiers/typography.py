r"""Characters that Unicode has and LaTeX writes in another way: signs, digits, fractions, raised and lowered ones.

Owns what depends on single characters and not on mathematics. Must not import anything heavy. Text that is plain ASCII
comes back as it is, at once.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

_SIGNS = str.maketrans(
    {
        "−": "-", "–": "-", "—": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ",
        "÷": "/", "∕": "/", "⁄": "/", "π": r"\pi ", "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ",
        "°": r"^\circ ", "º": r"^\circ ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "±": r"\pm ", "≈": r"\approx ",
        "∛": r"\sqrt[3]", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "∅": r"\emptyset ", "ℝ": r"\mathbb{R}",
        "′": "'", "’": "'", "、": ",", "⟨": r"\langle ", "⟩": r"\rangle ",
    }
)  # fmt: skip
_ROOT = re.compile(r"√\s*(?:(\d+(?:\.\d+)?|[a-zA-Z]|\\pi(?![a-zA-Z]))|\(([^()]*)\))")


def plain(text: str) -> str:
    """The text with each sign in one spelling; what LaTeX has no spelling for stays."""
    if text.isascii():
        return text
    text = text.translate(_SIGNS)
    written = "".join(_spelt(kind, "".join(run)) for kind, run in groupby(text, _kind))
    return _ROOT.sub(lambda root: rf"\sqrt{{{root.group(1) or root.group(2)}}}", written).replace("√", r"\sqrt ")


def _kind(character: str) -> str:
    if character.isascii():
        return ""
    category = unicodedata.category(character)
    if category == "Nd":
        return "digit"
    if category == "Cf":
        return "unseen"
    tag = unicodedata.decomposition(character).partition(">")[0]
    return tag if tag.startswith("<") else ""


def _spelt(kind: str, run: str) -> str:
    if kind == "digit":
        return "".join(str(unicodedata.digit(character)) for character in run)
    if kind == "unseen":  # no width, or only the direction of the text
        return ""
    if kind == "<fraction":
        halves = [unicodedata.normalize("NFKC", character).partition("⁄") for character in run]
        return "".join(rf"\frac{{{top}}}{{{bottom}}}" for top, _, bottom in halves)
    if not kind:
        return run
    normal = unicodedata.normalize("NFKC", run).translate(_SIGNS)
    return {"<super": f"^{{{normal}}}", "<sub": f"_{{{normal}}}"}.get(kind, normal)
