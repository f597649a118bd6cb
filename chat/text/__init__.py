"""The text policy, whole: what text from outside is allowed, how it is stored, shown and compared.

The only place that normalises. Pure functions; every refusal is a TextFault with a code of the contract.
"""

from chat.text.bodies import OpaqueId, content, emoji, opaque_id, password, preview
from chat.text.faults import TextFault, UsernameReserved
from chat.text.gates import gate
from chat.text.keys import KEY_VERSION, DisplayName, Key, key_of
from chat.text.loading import warm_up
from chat.text.looks import skeleton
from chat.text.names import RoomName, UserName, room_name, room_query, username, username_key

__all__ = [
    "KEY_VERSION",
    "DisplayName",
    "Key",
    "OpaqueId",
    "RoomName",
    "TextFault",
    "UserName",
    "UsernameReserved",
    "content",
    "emoji",
    "gate",
    "key_of",
    "opaque_id",
    "password",
    "preview",
    "room_name",
    "room_query",
    "skeleton",
    "username",
    "username_key",
    "warm_up",
]
