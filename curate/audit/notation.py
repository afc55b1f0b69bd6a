r"""One plain notation for the arithmetic in a completion: LaTeX, typographic signs, markdown, calculator annotations.

Owns rewriting by rules that need no reading. Must not import a verifier's rules: a verdict hangs on those, and a flag
must not. Linear in the text. What is not arithmetic is left as it is, or turned into a sign that no expression holds,
so that what stands beside it is not read as complete.
"""

from __future__ import annotations

import re

_COMMANDS = {
    **dict.fromkeys((r"\times", r"\cdot", r"\ast"), "*"),
    **dict.fromkeys((r"\dfrac", r"\tfrac", r"\cfrac"), r"\frac"),
    **dict.fromkeys((r"\dbinom", r"\tbinom"), r"\binom"),
    **dict.fromkeys((r"\textbf", r"\textit", r"\textrm", r"\mathrm", r"\mathbf", r"\mbox"), r"\text"),
    **dict.fromkeys((r"\left", r"\right", r"\big", r"\Big", r"\bigl", r"\bigr", r"\Bigl", r"\Bigr"), ""),
    **dict.fromkeys((r"\boxed", r"\fbox", r"\displaystyle", r"\textstyle", r"\!", r"\limits"), ""),
    **dict.fromkeys((r"\,", r"\;", r"\:", r"\ ", r"\quad", r"\qquad"), " "),
    **dict.fromkeys((r"\(", r"\)"), "$"),
    **dict.fromkeys((r"\[", r"\]", r"\\", r"\newline"), "\n"),
    **dict.fromkeys((r"\ldots", r"\dots", r"\cdots"), "…"),
    **dict.fromkeys((r"\approx", r"\simeq"), "≈"),
    **dict.fromkeys((r"\leq", r"\geq", r"\le", r"\ge", r"\lt", r"\gt", r"\leqslant", r"\geqslant"), "<"),
    **dict.fromkeys((r"\Rightarrow", r"\rightarrow", r"\implies", r"\to", r"\therefore", r"\because", r"\iff"), "⇒"),
    **dict.fromkeys((r"\Longrightarrow", r"\longrightarrow", r"\Leftrightarrow", r"\item"), "⇒"),
    **dict.fromkeys((r"\{", r"\}"), "¦"),
    **{r"\div": "/", r"\%": "%", r"\$": "$", r"\neq": "≠", r"\ne": "≠", r"\pi": "π", r"\pm": "±", r"\sqrt": "√"},
    **{r"\circ": "°", r"\degree": "°"},
}
# The commonest commands, which cost less one by one; a line's end first, for its backslashes begin others.
_ROW = re.compile(r"\\[\[\]\\]")
_INLINE = re.compile(r"\\[()]")
_COMMAND = re.compile(r"\\(?!text ?\{|frac[ \d{])(?:[a-zA-Z]+|.)", re.DOTALL)
_LINES = re.compile(r"\\(?:begin|end) ?\{(?:align|equation|gather|split|multline|eqnarray|displaymath)[a-z]*\*?\}")
_TABLE = re.compile(r"\\(?:begin|end) ?\{[A-Za-z]*\*?\}")
_TEXT = re.compile(r"\\text ?\{([^{}]*)\}")
_FRACTION = re.compile(r"\\frac ?(?:\{([^{}]*)\}|(\d)) ?(?:\{([^{}]*)\}|(\d))")
_BINOMIAL = re.compile(r"\\binom ?\{([^{}]*)\} ?\{([^{}]*)\}")
_SUPERSCRIPT = re.compile(r"\^\{([^{}]*)\}")
_GROUP = re.compile(r"\{,\}(?<=\d\{,\})(?=\d{3})|\\,(?<=\d\\,)(?=\d{3})|,\\!(?<=\d,\\!)(?=\d{3})")
_DEGREES = re.compile(r"\^ ?(?:°|\{ ?° ?\})")
_ROOT = re.compile(r"√ ?\[")
_ANNOTATION = re.compile(r"<<([^<>=\n]*=[ $]*([^<>=\n]*))>>(?:(\2)(?![.,]?\d))?")
_DOUBLE_STAR = re.compile(r"\*\*(?<=[\d)]\*\*)(?=[\d(-])")

SIGNS = str.maketrans(
    {
        **dict.fromkeys("×✕⋅·∙∗✖", "*"),
        **dict.fromkeys("÷∕⁄", "/"),
        **dict.fromkeys("−–", "-"),
        **{"²": "^2", "³": "^3", "½": "((1)/(2))", "¼": "((1)/(4))", "¾": "((3)/(4))"},
        **{"[": "(", "]": ")", "$": " ", "€": "", "£": "", "°": "", "\t": " "},
    }
)
"""Signs inside an expression -> what ``arithmetic.evaluate`` reads; applied there, where the text is short."""


def plain(text: str) -> str:
    r"""A completion with its arithmetic in plain notation, e.g. ``\frac{3}{4} \times 8`` as ``((3)/(4)) * 8``.

    An annotation becomes a link of the chain that it stands in: ``<<3*4=12>>12`` is ``3*4=12``, and where another
    number follows than its own, ``<<7/2=3.5>>3`` is ``7/2=3.5=3``.
    """
    if "\\" in text:
        text = _latex(text)
    if "<<" in text:
        text = _ANNOTATION.sub(_annotation, text)
    if "**" in text:
        text = _DOUBLE_STAR.sub("^", text).replace("**", " ")
    return text.replace("`", " ") if "`" in text else text


def _latex(text: str) -> str:
    if "{,}" in text or "\\," in text or "\\!" in text:
        text = _GROUP.sub(",", text)
    text = _INLINE.sub("$", _ROW.sub("\n", text)).replace(r"\times", "*")
    text = _COMMAND.sub(_command, text)
    if "°" in text:
        text = _DEGREES.sub("°", text)
    if "\\begin" in text:
        text = _TABLE.sub("¦", _LINES.sub("\n", text))
    if "√" in text:
        text = _ROOT.sub("∛[", text)
    if "\\text" in text:
        text = _TEXT.sub(_spaced, text)
    if "\\binom" in text:
        text = _BINOMIAL.sub(r"((\1)∁(\2))", text)
    for _ in range(4):
        before = text
        if "^{" in text:
            text = _SUPERSCRIPT.sub(_raised, text)
        if "\\frac" in text:
            text = _FRACTION.sub(_fraction, text)
        if text == before:
            break
    return text.replace("{", "(").replace("}", ")").replace("&", " ")


def _command(found: re.Match[str]) -> str:
    name = found.group()
    return _COMMANDS.get(name, name)


# Functions where a template would do: a template costs several times as much for each match.
def _annotation(found: re.Match[str]) -> str:
    return f" {found[1]}" if found[3] else f" {found[1]}="


def _spaced(found: re.Match[str]) -> str:
    return f" {found[1]} "


def _raised(found: re.Match[str]) -> str:
    return f"^({found[1]})"


def _fraction(found: re.Match[str]) -> str:
    top, digit, bottom, other = found.groups()
    return f"(({digit if top is None else top})/({other if bottom is None else bottom}))"
