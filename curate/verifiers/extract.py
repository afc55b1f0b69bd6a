r"""The answer of a completion: where a model says what it concluded, as text.

Owns the reading of completions, shared by the kinds that compare answers. Must not import anything heavy and must stay
linear in the completion: it runs in the calling process, on text that nobody has checked.

The places, best first: the last ``<answer>``; the last ``\boxed{}``; the whole completion where it is nothing but one
expression; what follows the last ``answer is``, ``answer:`` or ``####``; the last formula; the last number. All but the
first two look at the last ``TAIL`` characters only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

TAIL = 4_000
"""Characters at a completion's end in which an answer that is not boxed is looked for."""

LONGEST = 20_000
"""Characters of an answer, at most; a longer one is cut there, and then equals nothing."""

MOST_BOXES = 64
"""Boxes that are looked at from the end, at most."""

_COMMANDS = ("\\boxed", "\\fbox")
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_ANY_BRACE = re.compile(r"[{}]")
_PERCENT = re.compile(r"(?:\s|\$|\\\)|\\\])*(?:\\?%|(?:percent|percentage|pct)\b)")
_WORD = re.compile(r"(?<![A-Za-z\\])[A-Za-z]+")

# "answer" in the languages that models reason in; a colon or a form of "is" must follow.
_WORDS = "réponse|respuesta|resposta|risposta|antwort|ответ|الجواب|الإجابة|उत्तर|答案|答え|정답|답"
_FOREIGN = re.compile(_WORDS, re.IGNORECASE)
_ANSWER = re.compile(
    rf"####|(?:^|\n)\s*A:|(?:answers?|{_WORDS})[^\n.。:：=]{{0,60}}?"
    r"(?::|：|=|(?<![a-z])(?:is|are|est|es|é|è|ist|lautet)(?![a-z])|是|为|為|は|은|는|هو|है)(?:\s*:)?",
    re.IGNORECASE,
)
# A formula holds no second opening, so that a text of openings alone is read once and not once for each of them.
_FORMULA = re.compile(
    r"\$\$([^$]++)\$\$|\\\[((?:\\\\|(?!\\[\[\]\\]).)++)\\\]|\\\(((?:\\\\|(?!\\[()\\]).)++)\\\)"
    r"|(?<!\\)\$((?:\\.|[^$\n\\])++)\$",
    re.DOTALL,
)
_AND = re.compile(r"\s*(?:,|;|,?\s*and|,?\s*or)\s*")
_NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.])-?(?:\\frac\{-?\d+\}\{-?\d+\}|(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?<=\d)"
    r"(?:\s*/\s*\d+(?:\.\d+)?)?)(?:\s*(?:\\?%|percent\b))?(?![A-Za-z_]*\d)"
)
# Two letters in a row are prose, and so is one of a script that mathematics does not borrow.
_PROSE = re.compile(r"[A-Za-zÀ-ɏ]{2,}|[^\W\d_A-Za-zÀ-ɏͰ-Ͽ]")
_QUIET = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mbox|mathbf|operatorname)\*?\s*\{[^{}]*\}|\\(?:begin|end)\{[a-z]*\*?\}"
    r"|\\[a-zA-Z]+"
    r"|\b(?:and|or|sin|cos|tan|cot|sec|csc|log|ln|exp|sqrt|pi|infty|frac|lim|max|min|mod|gcd)\b"
)
_SENTENCE = re.compile(r"[.!。]\**(?:\s|$)|\n")
_IS = re.compile(r"(?<![A-Za-z])(?:is|are)(?![A-Za-z])\s*:?")
_THOUGHT = "</think>"
_ANSWER_TAGS = ("<answer>", "</answer>")

# Where one script stands against another without a blank, as numbers do in Chinese, Japanese and Korean text.
_SCRIPTS = re.compile(
    r"(?<=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])(?=[-\d\\$(.])|(?<=[\d$)%])(?=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])"
)


def answer(completion: str) -> str | None:
    """The answer that a completion gives, or None where it gives none.

    Args:
        completion: Any text.

    Returns:
        At most ``LONGEST`` characters, without surrounding space; never empty.
    """
    _, thought, said = completion.rpartition(_THOUGHT)
    if thought and (found := answer(said)) is not None:
        return found
    opening, closing = _ANSWER_TAGS
    _, tagged, rest = completion.rpartition(opening)
    if tagged and closing in rest:
        return answer(rest.partition(closing)[0]) or boxed(completion)
    found = boxed(completion)
    if found is None:
        tail = completion[-TAIL:].strip()
        found = tail if len(completion) <= TAIL and _is_expression(tail) else _stated(tail)
    found = (found or "").strip()[:LONGEST]
    return found or None


def in_english(completion: str) -> str:
    """The end of a completion as English tools read it: blanks between scripts, and ``answer`` for its translations."""
    tail = completion[-TAIL:].strip()
    return _SCRIPTS.sub(" ", _FOREIGN.sub("answer", tail))


def boxed(text: str) -> str | None:
    r"""The content of the last ``\boxed{}`` or ``\fbox{}``, or None.

    Boxes that belong together, because nothing but signs, ``and`` or ``or`` stands between them, are joined by commas:
    ``\boxed{1} and \boxed{2}``. A percent sign just behind the box is part of the answer. A box that never closes ends
    with its line.
    """
    contents: list[str] = []
    limit = len(text)
    following = None
    for opening in _boxes_from_the_end(text):
        if opening.end() > limit:
            continue
        content, end = _content(text, opening.end())
        if following is not None:
            if end > following or not _belong(text[end:following]):
                break
        elif _PERCENT.match(text, end) and "%" not in content:
            content += "\\%"
        if not contents or contents[-1] != content:
            contents.append(content)
        following = limit = opening.start()
    return ",".join(reversed(contents)) if contents else None


def _boxes_from_the_end(text: str) -> Iterator[re.Match[str]]:
    found = {command: text.rfind(command) for command in _COMMANDS}
    for _ in range(MOST_BOXES):
        command = max(_COMMANDS, key=found.__getitem__)
        if found[command] < 0:
            return
        if opening := _BOX.match(text, found[command]):
            yield opening
        found[command] = text.rfind(command, 0, found[command])


def _belong(between: str) -> bool:
    """Whether nothing but separators, ``and`` or ``or`` stands between two boxes; ``=`` says the second replaces it."""
    if len(between) > 70 or "=" in between or "approx" in between:
        return False
    return {word.lower() for word in _WORD.findall(between)} <= {"and", "or"}


def _content(text: str, start: int) -> tuple[str, int]:
    """What stands in the braces that open at ``start``, and where they end; the rest of the line where they do not."""
    if text[start : start + 1] == "{":
        # Braces that LaTeX escapes do not count, unless nothing closes without them: a stray backslash at the end.
        for brace in (_BRACES, _ANY_BRACE):
            depth = 0
            for found in brace.finditer(text, start, start + LONGEST + 2):
                depth += {"{": 1, "}": -1}.get(found.group(), 0)
                if depth == 0:
                    return text[start + 1 : found.start()].strip(), found.end()
        start += 1
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    return text[start : min(end, start + LONGEST)].strip().rstrip("$."), end


def _is_expression(text: str) -> bool:
    """Whether a text is one expression and no prose: no two letters in a row outside commands and \\text{}."""
    if not text or "####" in text or "\n\n" in text or len(_FORMULA.findall(text)) > 1:
        return False
    return not _PROSE.search(_QUIET.sub(" ", text))


def _stated(tail: str) -> str | None:
    anchors = list(_ANSWER.finditer(tail))
    if anchors and (found := _after_anchor(tail[anchors[-1].end() :].strip().strip("*").strip())):
        return found
    formulas = list(_FORMULA.finditer(tail))
    numbers = [number for number in _NUMBER.finditer(_FORMULA.sub(_blank, tail)) if number.group()]
    if formulas and (not numbers or numbers[-1].start() < formulas[-1].start()):
        return _inside(formulas[-1])
    if numbers:
        return numbers[-1].group().strip()
    return _short(tail) if len(tail.split()) <= 3 else None


def _after_anchor(rest: str) -> str | None:
    """What an ``answer is`` announces: the whole sentence where it is an expression, else what is in it."""
    if rest.startswith(("\\[", "$$")):
        return _first_formulas(rest)
    end = _SENTENCE.search(rest)
    sentence = rest[: end.start()] if end else rest[:400]
    if _is_expression(sentence) and "$" not in sentence and "\\(" not in sentence:
        return _short(sentence) or sentence
    *_, last = sentence, *(sentence[found.end() :] for found in _IS.finditer(sentence))
    for part in (last, sentence):
        if found := _first_formulas(part) or _first_number(part[:100]):
            return found
    return _short(sentence)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _inside(formula: re.Match[str]) -> str:
    return next(group for group in formula.groups() if group is not None).strip()


def _first_formulas(text: str) -> str | None:
    """The first formula within reach, joined with those that ``and``, ``or`` or a comma ties to it."""
    first = _FORMULA.search(text)
    if first is None or first.start() > 50:
        return None
    found, end = [_inside(first)], first.end()
    while (tie := _AND.match(text, end)) and (following := _FORMULA.match(text, tie.end())):
        found.append(_inside(following))
        end = following.end()
    joined = ", ".join(found)
    return joined + "\\%" if _PERCENT.match(text, end) and "%" not in joined else joined


def _first_number(text: str) -> str | None:
    return next((number.group().strip() for number in _NUMBER.finditer(text) if number.group()), None)


def _short(text: str) -> str | None:
    said = text.strip().strip("*").rstrip(".!").strip()
    return said if 0 < len(said) <= 60 else None
