"""Proof readers as forms and the API give them: addresses normalised, names on one line."""

from notifier.domain.errors import InputError
from notifier.domain.note import one_line
from notifier.domain.template import Bank
from notifier.planning.contact_import.values import read_email, read_phone
from notifier.store.proofs import ProofReader

_LONGEST_NAME = 60


def read_reader(reader_id: int, bank: Bank, *, name: str, email: str, phone: str, locale: str) -> ProofReader:
    """A proof reader; `InputError` names the field that is wrong. No locale means the bank's."""
    called = one_line(name)
    if len(called) > _LONGEST_NAME:
        raise InputError("name", f"is longer than {_LONGEST_NAME} characters", "Shorten it")
    if locale and locale not in bank.locales:
        raise InputError("locale", "is none of the bank's", f"Choose one of {', '.join(bank.locales)}")
    return ProofReader(
        id=reader_id,
        name=called,
        email=_read_email(email) if email else "",
        phone=_read_phone(phone, bank.region) if phone else "",
        locale=locale,
    )


def _read_email(text: str) -> str:
    try:
        return read_email(text)
    except InputError:
        raise InputError("email", "is no e-mail address", "Write one such as anna@example.com") from None


def _read_phone(text: str, region: str) -> str:
    try:
        return read_phone(text, region)
    except InputError:
        remedy = "Write it with its country code, such as +86 138 0013 8000"
        raise InputError("phone", "is no telephone number", remedy) from None
