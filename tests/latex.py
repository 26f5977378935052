"""Formulas of the pages, read and computed: LaTeX in, numbers out.

A name is any piece of LaTeX with a number, an array, or, inside a sum over an index, a function of the index. What has
no name must be arithmetic. Between arrays a product is that of matrices.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from scipy.linalg import expm

TOKEN = re.compile(r"\\[A-Za-z]+|\\.|\d|[^\s\d\\]", re.DOTALL)
SPACE = re.compile(r"\\[,;!: ]|\\q?quad(?![A-Za-z])|&|\\(?:big|Big|left|right)[lr]?(?![A-Za-z])|\\limits")
RELATIONS = {"=", "<", ">", r"\le", r"\ge", r"\approx", r"\gg", r"\lesssim"}
PAIRS = {"(": ")", "{": "}", "[": "]", r"\lvert": r"\rvert"}


class Function:
    """A name that stands before its argument, such as a ReLU."""

    def __init__(self, of: Callable[[Any], Any]) -> None:
        self.of = of


def tokens(text: str) -> list[str]:
    """Split LaTeX into commands, digits and other characters; spaces and sizes of brackets go."""
    return TOKEN.findall(SPACE.sub(" ", text))


def chains(formula: str) -> Iterator[list[str]]:
    """Yield each equation of a displayed formula as its sides and the relations between them, in turn."""
    text = re.sub(r"\\(begin|end)\{aligned\}|\\\\\[\d+pt\]", lambda found: r"\\" if "pt" in found[0] else "", formula)
    text = re.sub(r"\\quad\(m\\text\{ large\}\)", "", text)
    text = re.sub(r"(\\text\{\w+:\})", r"\1=", text)  # a row with its name
    text = text.replace(r"\overset{d}{=}", "=").replace(r"\text{and}", ",")
    rows: list[str] = []
    for row in re.split(r"\\\\|,\s*\\qquad|\\quad\s*,\s*\\quad", text):
        first = tokens(row)[:1]
        if rows and first and first[0] in RELATIONS:
            rows[-1] += " " + row  # goes on with the equation of the line before
        elif first:
            rows.append(row)
    for row in rows:
        sides = re.split(r"(\\(?:le|ge|approx|gg|lesssim)(?![A-Za-z])|[=<>])", _without_sums(row.strip().rstrip(".,")))
        yield [side.replace("\0", "=").strip().rstrip(".,") for side in sides]


def _without_sums(text: str) -> str:
    """Hide the equals sign below a sum or a product."""
    return re.sub(r"_\{(\w)=", "_{\\1\0", text)


def value(text: str, names: Mapping[str, Any]) -> Any:
    """Compute a formula without relations."""
    reader = _Reader(tokens(text), names)
    found = reader.sum()
    if reader.place != len(reader.tokens):
        raise ValueError(f"cannot read on from {''.join(reader.tokens[reader.place :])!r} in {text!r}")
    return found


class _Reader:
    def __init__(self, read: list[str], names: Mapping[str, Any]) -> None:
        self.tokens, self.place, self.indices = read, 0, {}
        known = {"e": math.e, r"\pi": math.pi} | dict(names)
        split = ((tuple(tokens(name)), found) for name, found in known.items() if name)
        self.names = sorted(split, key=lambda one: -len(one[0]))

    @property
    def next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def take(self, wanted: str = "") -> str:
        found = self.next
        if wanted and found != wanted:
            raise ValueError(f"expected {wanted!r}, got {''.join(self.tokens[self.place :])!r}")
        self.place += 1
        return found

    def sum(self) -> Any:
        total: Any = 0
        sign = 1
        if self.next in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
        total = sign * self.product()
        while self.next in ("+", "-"):
            sign = 1 if self.take() == "+" else -1
            total = total + sign * self.product()
        return total

    def product(self) -> Any:
        total = self.power()
        while self.next and self.next not in ("+", "-", ",", *PAIRS.values()):
            if self.next in (r"\cdot", "/"):
                divides = self.take() == "/"
                factor = self.power()
                total = total / factor if divides else _times(total, factor)
            else:
                total = _times(total, self.power())
        return total

    def power(self) -> Any:
        base = self.base()
        while self.next == "^":
            self.take()
            if self.next == r"\top":
                self.take()
                base = base.T
            else:
                base = _to_the(base, self.argument())
        return base

    def argument(self) -> Any:
        """One group in braces, or one digit or name."""
        if self.next.isdigit():
            return int(self.take())
        if self.next == "{":
            return self.bracket()
        return self.base()

    def bracket(self) -> Any:
        opening = self.take()
        found = self.sum()
        self.take(PAIRS[opening])
        return abs(found) if opening == r"\lvert" else found

    def base(self) -> Any:
        for name, found in self.names:
            if tuple(self.tokens[self.place : self.place + len(name)]) == name:
                self.place += len(name)
                if isinstance(found, Function):
                    return found.of(self.power())
                return found(*self.indices.values()) if callable(found) else found
        token = self.next
        if token.isdigit():
            return self.number()
        if token in PAIRS:
            return self.bracket()
        self.take()
        if token in self.indices:
            return self.indices[token]
        if token in (r"\frac", r"\tfrac"):
            above = self.argument()
            return above / self.argument()
        if token == r"\binom":
            above = self.argument()
            return math.comb(above, self.argument())
        if token in (r"\sum", r"\prod"):
            return self.repeated(sum if token == r"\sum" else math.prod)
        if token in (r"\log", r"\ln"):
            return math.log(self.power())
        if token == r"\exp":
            return math.exp(self.power())
        if token == r"\Gamma":
            return math.gamma(self.power())
        if token == r"\sqrt":
            return math.sqrt(self.argument())
        raise ValueError(f"no value for {token!r} before {''.join(self.tokens[self.place :])!r}")

    def number(self) -> float:
        digits = ""
        while self.next.isdigit() or (self.next == "." and digits and self.after().isdigit()):
            digits += self.take()
        return float(digits) if "." in digits else int(digits)

    def after(self) -> str:
        return self.tokens[self.place + 1] if self.place + 1 < len(self.tokens) else ""

    def repeated(self, combine: Callable[[list[Any]], Any]) -> Any:
        """A sum or a product over an index: what follows, up to the next plus or minus, for each of its values."""
        self.take("_")
        self.take("{")
        index = self.take()
        self.take("=")
        first = self.sum()
        self.take("}")
        self.take("^")
        last = self.argument()
        start, found = self.place, []
        for here in range(first, last + 1):
            self.place, self.indices = start, self.indices | {index: here}
            found.append(self.product())
        self.indices.pop(index, None)
        return combine(found)


def _times(left: Any, right: Any) -> Any:
    return left @ right if np.ndim(left) and np.ndim(right) else left * right


def _to_the(base: Any, exponent: Any) -> Any:
    if np.ndim(exponent):
        return expm(math.log(base) * exponent)
    return np.linalg.matrix_power(base, exponent) if np.ndim(base) == 2 else base**exponent
