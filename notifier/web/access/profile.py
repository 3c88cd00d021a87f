"""What a user is called, reads and is reached by, as it is typed."""

import re
from dataclasses import dataclass, field

from notifier.domain.errors import InputError, NotFound
from notifier.domain.person import Role
from notifier.planning.catalogue import find_bank
from notifier.planning.contact_import.values import read_email, read_name, read_phone
from notifier.store.database import Tx
from notifier.web.console.catalogues import LOCALES

ROLES = tuple(role.value for role in Role)
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a user may change about themselves."""

    name: str
    locale: str = "zh-CN"
    email: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)


def read_login(text: str) -> str:
    """A login in lower case; `InputError` where it is none."""
    login = text.strip().lower()
    if not _LOGIN.fullmatch(login):
        raise InputError("login", "wants 2 to 64 of a-z, 0-9 and . _ @ -")
    return login


def read_role(text: str) -> str:
    """One of the roles; `InputError` for any other."""
    if text not in ROLES:
        raise InputError("role", f"there is no role {text!r}", f"Use one of {', '.join(ROLES)}")
    return text


async def read_profile(tx: Tx, team_id: int, given: Profile) -> Profile:
    """The same, checked and written one way; a number without a country code is of the bank's region."""
    name = read_name(given.name.strip())
    if not 0 < len(name) <= _LONGEST_NAME:
        raise InputError("name", f"wants 1 to {_LONGEST_NAME} characters")
    if given.locale not in LOCALES:
        raise InputError("locale", "the console does not speak it", f"Use {' or '.join(LOCALES)}")
    email, phone = given.email.strip(), given.phone.strip()
    return Profile(
        name=name,
        locale=given.locale,
        email=read_email(email) if email else "",
        phone=read_phone(phone, await _region(tx, team_id)) if phone else "",
    )


async def _region(tx: Tx, team_id: int) -> str:
    try:
        return (await find_bank(tx, team_id)).region
    except NotFound:
        return ""  # nothing is applied yet: numbers want their country code
