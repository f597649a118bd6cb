"""More than two thousand strings that break careless software, for every test that sends text from outside.

The same strings in the same order on every run of one Python version; `naughty()` has them all, `groups()` has them
by what they try. Lone surrogates are among them: escape them (`json.dumps`) to send them.
"""

import random
import sys
import unicodedata
from collections import defaultdict
from functools import cache

from chat.text.tables import rgi_emoji

SEED = 20_221_119
PER_CATEGORY = 18
PER_SCRIPT = 2
MIXED = 300

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"

BLANK = """\
20 9 A B C D 85 A0 AD 34F 61C 115F 1160 1680 17B4 17B5 180B 180E 2000 2003 200A 200B 200C 200D 200E 200F 2028 2029 202A
202E 202F 205F 2060 2061 2065 2066 2069 206F 2800 3000 3164 FE00 FE0E FE0F FEFF FFA0 FFF0 FFF9 FFFC 13430 16FE4 1BCA0
1D159 1D173 E0001 E0020 E0041 E007F E0100 E01EF E0FFF"""

INJECTIONS = (
    "'; DROP TABLE users; --",
    "' OR '1'='1",
    '" OR ""="',
    "1;SELECT pg_sleep(10)",
    "admin'--",
    "%' AND 1=0 UNION SELECT NULL--",
    "\\'; --",
    "%",
    "_",
    "%%%%",
    "a*b?c[d]e",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "<svg/onload=alert`1`>",
    "&lt;b&gt;&amp;&#x27;",
    "]]><!--",
    "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "../../../../etc/passwd",
    "..\\..\\windows\\win.ini",
    "/dev/null",
    "file:///etc/shadow",
    "C:\\CON",
    "~root",
    "$(id)",
    "`id`",
    "; id",
    "| id",
    "&& id",
    "$HOME",
    "${jndi:ldap://localhost/a}",
    "{{7*7}}",
    "{% raw %}",
    "#{7*7}",
    "%(name)s",
    "%s%s%s%n",
    "%d",
    "{0.__class__}",
    "{}",
    "{",
    "[",
    "[object Object]",
    "__proto__",
    "constructor",
    "__class__",
    "toString",
    "null",
    "None",
    "nil",
    "undefined",
    "NaN",
    "Infinity",
    "-Infinity",
    "true",
    "false",
    "0",
    "-0",
    "-1",
    "1e309",
    "9223372036854775808",
    "0x0",
    "00",
    "1/0",
    "1.0",
    "٣",
    "½",
    "\\",
    "\\\\",
    '"',
    "'",
    "`",
    "\\u0000",
    "\\ud800",
    "\\x00",
    "\\n",
    "%00",
    "%0a%0d",
    "%2e%2e%2f",
    "%F0%9F%92",
    "%",
    "%zz",
    "+",
    "a+b",
    "?",
    "?limit=0",
    "#",
    "#fragment",
    "&",
    "a&b=c",
    "=",
    ";",
    ":",
    "//",
    "http://user:pass@localhost/",
    "@everyone",
    "<@everyone>",
    "@here",
    ":smile:",
    "/join #room",
    "/me waves",
    "r_",
    "u_1",
    "m_0",
    "*bold* _it_ ~no~ `code`",
    "```\ncode\n```",
    "X: y\r\nSet-Cookie: a=b",
    "a\r\n\r\nHTTP/1.1 200 OK",
    "a\nb",
    "a\rb",
    "a\tb",
    "data: x\n\n",
    "\x1b[2J\x1b[31mred",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x08\x08\x08",
    "\x7f",
    "a\x00b",
    "\x00",
    "\ufeffabc",
    "\u202egnp.exe",
    "\u2066abc\u2069",
    "a\u2028b",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "+1",
    "-1+1",
    "(ala)(|(cn=*))",
    "*)(uid=*",
    "(a+)+$",
    "^(.*)*$",
    "\u0130stanbul",
    "Stra\u00dfe",
    "\u1e9e",
    "\u03a3\u03c3\u03c2",
    "\ufb01\ufb02\ufb03",
    "\u212b\u00c5A\u030a",
    "\u1e9b\u0323",
    "\u0344",
    "\ufdfa",
    "\ufdfd",
    "\U00012219",
    "\u01c4\u01c5\u01c6",
    "\u0149",
    "\u1f88",
    "\u2126\u03a9",
    "\u0410dmin",
    "\u0430dmin",
    "adm\u0456n",
    "r\u043e\u043et",
    "\uff41\uff44\uff4d\uff49\uff4e",
    "\U0001d41a\U0001d41d\U0001d426\U0001d422\U0001d427",
    "\u24d0\u24d3\u24dc\u24d8\u24dd",
    "admin\u200b",
    "admin\u3164",
    "ADMIN ",
    "cafe-\u2615",
    "cafe-\u2615\ufe0f",
    "cafe-\U0001f355",
    "cafe\u0301",
    "caf\u00e9",
    "\uff23\uff21\uff26\u00c9",
)

BROKEN_EMOJI = (
    "\ud83d" + "\udc4d",
    "\ud83d",
    "\udc4d",
    "\udc4d\ud83d",
    "a\ud800",
    "\udfffa",
    "\ud83d\u200d\udc4d",
    "\U0001f3fd",
    "\U0001f1e9",
    "\U0001f1e9" * 3,
    "\U0001f1fd\U0001f1fd",
    "\U0001f468\u200d",
    "\u200d\U0001f468",
    "\U0001f468\u200d\u200d\U0001f469",
    "\U0001f468\ufe0f\ufe0f",
    "\ufe0f\U0001f468",
    "\u2615\ufe0e",
    "\u2615\ufe0f\ufe0e",
    "1\ufe0f",
    "1\u20e3",
    "a\ufe0f\u20e3",
    "\U0001f3f4\U000e0067",
    "\U0001f3f4\U000e007f",
    "\U000e0067\U000e007f",
    ENGLAND[:-1],
    ENGLAND + ENGLAND,
    "\U0001f44d\U0001f3fd\U0001f3ff",
    "\u2615\U0001f3fd",
    "\U0001f44d\u0301",
    "\U0001f469\u200d\U0001f355",
    FAMILY + "\u200d" + FAMILY,
    "\U0001f44d \U0001f44d",
    "\U0001f44dx",
    "x\U0001f44d",
    "\U0001faf9",
    "\U0001f6dd",
    "\U0001fae8\u0301",
)

OVERLONG_UNITS = (
    "a",
    "\u00e9",
    "e\u0301",
    "\u6f22",
    "\U0001f355",
    FAMILY,
    "\U0001f1e9\U0001f1ea",
    " ",
    "\u200b",
    "\u3164",
)
OVERLONG_COUNTS = (31, 32, 33, 63, 64, 65, 127, 128, 129, 1000, 3999, 4000, 4001)
OVERLONG_BYTES = (16 * 1024, 16 * 1024 + 1)
# The planes that hold more than unassigned code points, ideographs and private use, and the last code points of all.
POINTS = (*range(0x30000), *range(0xE0000, 0xE0200), *range(0x10FF00, sys.maxunicode + 1))


def _code_points() -> list[str]:
    """Return code points of every general category, alone and within letters."""
    by_category: dict[str, list[str]] = defaultdict(list)
    for point in POINTS:
        by_category[unicodedata.category(chr(point))].append(chr(point))
    pick = random.Random(SEED)
    found = []
    for chars in by_category.values():
        chosen = {chars[0], chars[-1], *pick.sample(chars, min(PER_CATEGORY, len(chars)))}
        found += [text for char in sorted(chosen) for text in (char, f"a{char}b")]
    return found


def _scripts() -> list[str]:
    """Return words of letters, marks and digits of every script, taken by the first word of their names."""
    by_script: dict[str, list[str]] = defaultdict(list)
    for point in POINTS[0x80:]:
        if unicodedata.category(chr(point))[0] in "LMN":
            by_script[unicodedata.name(chr(point), "?").split()[0].split("-")[0]].append(chr(point))
    pick = random.Random(SEED)
    return [
        "".join(pick.choices(chars, k=6)) for chars in by_script.values() if len(chars) > 6 for _ in range(PER_SCRIPT)
    ]


def _blanks() -> list[str]:
    chars = [chr(int(point, 16)) for point in BLANK.split()]
    return [text for char in chars for text in (char, char * 3, f" {char} ", f"x{char}", f"{char}x")]


def _folding() -> list[str]:
    """Return what one pass of case folding and NFKC leaves unstable."""

    def fold(text: str) -> str:
        return unicodedata.normalize("NFKC", text.casefold())

    chars = [chr(point) for point in POINTS if not 0xD800 <= point <= 0xDFFF]
    return [char for char in chars if (once := fold(char)) != char and fold(once) != once][::6]


def _emoji() -> list[str]:
    chosen = random.Random(SEED).sample(rgi_emoji(), 150)
    spellings = [text for emoji in chosen for text in (emoji, emoji.replace("\ufe0f", ""), emoji + "\ufe0f")]
    return [*dict.fromkeys(spellings), *BROKEN_EMOJI]


def _stacks() -> list[str]:
    marks = [chr(point) for point in range(0x300, 0x370)]
    pick = random.Random(SEED)
    return ["Z" + "".join(pick.choices(marks, k=count)) + "a" for count in (1, 7, 8, 9, 10, 50, 400) for _ in range(3)]


def _joiners() -> list[str]:
    letters = ("a", "\u0628", "\u0627", "\u0647", "\u0915", "\u094d", "\u0dca", "\U0001f468", " ", "")
    return [before + joiner + after for before in letters for joiner in ("\u200c", "\u200d") for after in letters]


def _overlong() -> list[str]:
    by_count = [unit * count for unit in OVERLONG_UNITS for count in OVERLONG_COUNTS]
    by_bytes = [(unit * count)[: count // len(unit.encode())] for unit in OVERLONG_UNITS for count in OVERLONG_BYTES]
    return by_count + by_bytes


def _mixed(parts: list[str]) -> list[str]:
    pick = random.Random(SEED)
    return ["".join(pick.choices(parts, k=pick.randint(2, 5))) for _ in range(MIXED)]


@cache
def groups() -> dict[str, tuple[str, ...]]:
    """Return the strings by what they try; a string may be in more than one group."""
    found = {
        "code points": _code_points(),
        "scripts": _scripts(),
        "blanks": _blanks(),
        "folding": _folding(),
        "emoji": _emoji(),
        "stacks": _stacks(),
        "joiners": _joiners(),
        "injections": [*INJECTIONS, ""],
        "overlong": _overlong(),
    }
    short = [text for strings in found.values() for text in strings if len(text) < 32]
    found["mixed"] = _mixed(short)
    return {name: tuple(dict.fromkeys(strings)) for name, strings in found.items()}


@cache
def naughty() -> tuple[str, ...]:
    """Return every string of every group once."""
    return tuple(dict.fromkeys(text for strings in groups().values() for text in strings))
