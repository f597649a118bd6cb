"""Wording that blames a person: a post-mortem asks what made a mistake possible, not who made it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

INSTEAD = "say what made it possible: which check, tool or knowledge was missing"
_WORDS = (
    r"careless(?:ly|ness)?|negligen(?:t|tly|ce)|incompeten(?:t|ce)|stupid(?:ly|ity)?|idiot(?:s|ic)?|lazy|lazily|sloppy|"
    r"(?:human|operator|pilot) error|should have known(?: better)?|(?<!git )blam(?:e|ed|es|ing)\b(?!-)|"
    r"(?:his|her|their|your|my) (?:own )?fault"
)
_DID = (
    r"(?:forgot|neglected|ignored|failed to|broke|(?:messed|screwed) (?:it )?up|(?:should|could)(?: not|n['’]t)? have|"
    r"did(?: not|n['’]t) (?:bother|care|check|look|read|test|think|notice)|made (?:a|another) (?:\w+ )?mistake|"
    r"(?:was|is) (?:wrong|at fault|responsible|guilty))"
)
_ANYBODY = (
    r"he|she|you|i|someone|somebody|@\w+|"
    r"the (?:\w+ )?(?:developer|engineer|reviewer|operator|admin(?:istrator)?|intern|author|committer|on-?call|team)s?"
)


@dataclass(frozen=True, slots=True)
class Warned:
    """A line that blames: its number from 1, its text, and the words in it."""

    line: int
    text: str
    words: str

    def as_json(self) -> dict[str, str | int]:
        """As the verb prints it."""
        return {"line": self.line, "text": self.text, "words": self.words, "instead": INSTEAD}


def blaming(text: str, *, names: Iterable[str] = ()) -> list[Warned]:
    """The lines of *text* that blame somebody; *names* are those of people it may speak of, whole or by first name.

    A name in small letters (root, runner) is no person's.
    """
    parts = {part for name in names for part in (name.strip(), *name.split()[:1]) if len(part) > 1}
    known = sorted((re.escape(part) for part in parts if part != part.lower()), key=len, reverse=True)
    people = f"{_ANYBODY}|(?-i:{'|'.join(known)})" if known else _ANYBODY
    pattern = re.compile(rf"\b(?:{_WORDS})\b|(?<!\w)(?:{people})(?:['’]s fault\b|(?: \w+)? {_DID}\b)", re.IGNORECASE)
    return [
        Warned(number, line.strip(), found[0])
        for number, line in enumerate(text.splitlines(), start=1)
        if (found := pattern.search(line))
    ]
