"""Accounts: registering, signing in, changing the password, erasing."""

from chat.auth.passwords import Passwords
from chat.auth.sessions import Sessions, SignedIn
from chat.protocol.errors import BadCredentials, Forbidden, UsernameTaken
from chat.protocol.log import Who
from chat.protocol.models import User
from chat.services import texts
from chat.settings import Registration
from chat.storage import users
from chat.storage.ids import digest
from chat.storage.store import Store
from chat.storage.users import Credentials, Register, SetPassword, SignIn
from chat.text import KEY_VERSION, TextFault, username, username_key
from chat.text import password as allowed_password


class Accounts:
    """Everybody's accounts."""

    def __init__(self, store: Store, passwords: Passwords, sessions: Sessions, *, registration: Registration) -> None:
        self._store, self._passwords, self._sessions = store, passwords, sessions
        self._registration = registration

    async def register(
        self, raw_username: str, password: str, *, user_agent: str = "", invite: str | None = None
    ) -> SignedIn:
        """Make an account and sign it in.

        Raises `InvalidText` (`field` says which), `Forbidden` (closed, or a bad invite), `UsernameTaken`,
        `Unavailable`.
        """
        with texts.judged("username"):
            name = username(raw_username)
        with texts.judged("password"):
            password = allowed_password(password)
        if self._registration is Registration.CLOSED:
            raise Forbidden("registration is closed: ask who runs this server for an account")
        if await users.taken(self._store.readers, key=name.key, lookalikes=name.lookalikes):
            raise UsernameTaken(name.display)
        begun = self._sessions.begin(user_agent=user_agent)
        ask = Register(
            username=name.display,
            key=name.key,
            key_version=KEY_VERSION,
            lookalikes=name.lookalikes,
            password_hash=await self._passwords.hash(password),
            session=begun.new,
            needs_invite=self._registration is Registration.INVITE,
            invite_hash=digest(invite) if invite is not None and invite.isascii() else None,
        )
        user = await self._store.writer.submit(users.register, ask)
        return self._sessions.signed_in(user, begun.new.session_id, begun.refresh_token)

    async def login(self, raw_username: str, password: str, *, user_agent: str = "") -> SignedIn:
        """Sign in. Raises `BadCredentials`, the same after the same work whether or not there is such an account."""
        found = await self._find(raw_username)
        if not await self._verify(found, password) or found is None:
            raise BadCredentials("the username or the password is wrong")
        if self._passwords.outdated(found.password_hash):
            found = await self._rehash(found, password)
        begun = self._sessions.begin(user_agent=user_agent)
        ask = SignIn(user_id=found.user_id, password_hash=found.password_hash, session=begun.new)
        await self._store.writer.submit(users.sign_in, ask)
        user = User(id=found.user_id, username=found.username)
        return self._sessions.signed_in(user, begun.new.session_id, begun.refresh_token)

    async def change_password(self, who: Who, current: str, new: str) -> None:
        """Change the password and end the user's other sessions. Raises `InvalidText`, `BadCredentials`."""
        with texts.judged("new_password"):
            new = allowed_password(new)
        await self._confirm(who, current)
        await self._set(who.user_id, new, keep_session_id=who.session_id)

    async def erase(self, who: Who, password: str) -> None:
        """Erase the account; its messages stay, by a deleted user. Raises `BadCredentials`."""
        await self._confirm(who, password)
        await self._store.writer.submit(users.erase, who.user_id)

    async def reset_password(self, user_id: str, new: str) -> None:
        """Set a password for someone who lost it, and end all sessions. Raises `InvalidText`."""
        with texts.judged("new_password"):
            new = allowed_password(new)
        await self._set(user_id, new, keep_session_id=None)

    async def _find(self, raw_username: str) -> Credentials | None:
        key = username_key(raw_username)
        if key is None:  # nobody can have that name; the same query, so that it takes as long
            await users.credentials(self._store.readers, key="")
            return None
        return await users.credentials(self._store.readers, key=key)

    async def _verify(self, found: Credentials | None, password: str) -> bool:
        try:
            password = allowed_password(password)
        except TextFault:
            found, password = None, ""
        return await self._passwords.verify(password, found.password_hash if found else None)

    async def _confirm(self, who: Who, password: str) -> None:
        found = await users.credentials(self._store.readers, user_id=who.user_id)
        if not await self._verify(found, password):
            raise BadCredentials("the password is wrong")

    async def _set(self, user_id: str, password: str, *, keep_session_id: str | None) -> None:
        hashed = await self._passwords.hash(password)
        ask = SetPassword(user_id=user_id, password_hash=hashed, keep_session_id=keep_session_id)
        await self._store.writer.submit(users.set_password, ask)

    async def _rehash(self, found: Credentials, password: str) -> Credentials:
        """Store the hash anew at today's cost, without ending anything."""
        hashed = await self._passwords.hash(allowed_password(password))
        ask = users.Rehash(user_id=found.user_id, old=found.password_hash, new=hashed)
        await self._store.writer.submit(users.rehash, ask)
        return found._replace(password_hash=hashed)
