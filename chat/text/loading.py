"""When the tables and their libraries are loaded: by themselves on first need, or all at once before serving."""

from chat.text.bodies import content, emoji, preview
from chat.text.names import room_name, username

_ONE_OF_EACH = "Zo\u00eb\u2615\u0628\u200c\u0628"  # a mark, an emoji, a joiner: every rule has to look
_LONG = 600  # times: more code points than the limit on graphemes, so that they are counted


def warm_up() -> None:
    """Load every table and library now (about 0.15 s), so that no first message waits for them."""
    room_name(_ONE_OF_EACH)
    username(_ONE_OF_EACH)
    emoji("\u2615")
    preview(content(_ONE_OF_EACH * _LONG))
