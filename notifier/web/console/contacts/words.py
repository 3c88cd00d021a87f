"""What the contacts' forms say, and what their pages call the fields of a file."""

import re

from starlette.datastructures import FormData

from notifier.domain.errors import InputError
from notifier.planning.contact_import.columns import SKIPPED
from notifier.web.console.words import Words
from notifier.web.values import check_text

_FIELDS = {
    "external_id": "Contact id",
    "name": "Name",
    "email": "E-mail address",
    "phone": "Mobile number",
    "locale": "Language",
    "zone": "Time zone",
    "kind": "Kind",
    "consent_date": "Date of consent",
    "consent_source": "Source of consent",
    SKIPPED: "Leave out",
}
_CONSENT = re.compile(r"consent_(?:(date|source)_)?(email|sms|social)(?:_(.+))?")
_TOLD = {
    None: ("Consent: %(channel)s", "Consent: %(channel)s, %(topic)s"),
    "date": ("Date of consent: %(channel)s", "Date of consent: %(channel)s, %(topic)s"),
    "source": ("Source of consent: %(channel)s", "Source of consent: %(channel)s, %(topic)s"),
}


def target_words(target: str, t: Words) -> str:
    """What a column becomes."""
    if target in _FIELDS:
        return t(_FIELDS[target])
    if found := _CONSENT.fullmatch(target):
        plain, with_topic = _TOLD[found[1]]
        return t(with_topic if found[3] else plain, channel=t(found[2]), topic=t(found[3] or ""))
    return t("Attribute %(name)s", name=target.removeprefix("attributes."))


def read_texts(form: FormData) -> dict[str, str]:
    """The fields of a form without spaces around them; `InputError` for what the database cannot keep."""
    said = {name: value.strip() for name, value in form.items() if isinstance(value, str)}
    for name, value in said.items():
        try:
            check_text(name + value)
        except ValueError as error:
            raise InputError(name.replace("\0", "")[:60], str(error), "Remove it.") from error
    return said
