"""One cell becomes one value: addresses, zones, locales, dates, consent, typed attributes."""

import re
import unicodedata
from datetime import datetime
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from notifier.domain.contact import AttributeValue, ConsentAct, ContactKind
from notifier.domain.errors import InputError
from notifier.planning.contact_import.options import MAX_FIELD_CHARS
from notifier.planning.spreadsheet import plain_cell

_ID_CHARS = 200
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_PLAIN_EMAIL = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@([A-Za-z0-9.-]{{1,190}})")
_NANP = re.compile(r"\+1[2-9][0-9]{2}[2-9][0-9]{6}")
_CN_MOBILE = re.compile(r"(?:\+86)?(1[3-9][0-9]{9})")
_PHONE_MARKS = str.maketrans("", "", " -().\u00a0\u2010\u2011\u2013")
_EXPONENT = re.compile(r"[0-9]+(\.[0-9]+)?[eE]\+?[0-9]+")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?(?:-[A-Za-z0-9]{5,8})*")
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,14})\.[0-9]{1,15}")
_NAMED_VALUES: dict[str, AttributeValue] = {"true": True, "false": False, "TRUE": True, "FALSE": False}
# Control characters, lone surrogates and marks that turn the direction of text; they forge headers and links.
_UNWANTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_YES = frozenset({"yes", "y", "1", "true", "opt-in", "是", "同意", "已同意"})
_NO = frozenset({"no", "n", "0", "false", "opt-out", "否", "拒绝", "不同意", "已退订"})
_KINDS = {
    "": ContactKind.CUSTOMER,
    "客户": ContactKind.CUSTOMER,
    "员工": ContactKind.EMPLOYEE,
    "工作组": ContactKind.WORKING_GROUP,
    **{kind.value: kind for kind in ContactKind},
}


def read_email(text: str) -> str:
    """Exactly one address, domain in lower case; `InputError` where it is none. No network."""
    plain = _PLAIN_EMAIL.fullmatch(text)
    if plain and len(text) <= 254 and len(plain[1]) <= 64:
        return f"{plain[1]}@{_read_domain(plain[2])}"
    try:
        return validate_email(text, check_deliverability=False, strict=True).normalized
    except EmailNotValidError as error:
        raise InputError("email", _reason(error), "Write one address such as anna@example.com.") from error


@lru_cache(maxsize=20_000)
def _read_domain(domain: str) -> str:
    """Most contacts share few domains: each is checked once."""
    try:
        return validate_email(f"a@{domain}", check_deliverability=False).domain
    except EmailNotValidError as error:
        raise InputError("email", _reason(error), "Write one address such as anna@example.com.") from error


def _reason(error: EmailNotValidError) -> str:
    """The rule that was broken; what stands in quotes may be a part of the address itself."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "…", str(error)).strip().rstrip(".")


def read_phone(text: str, region: str) -> str:
    """E.164; numbers without a country code belong to `region`. `InputError` where it is none.

    Possible (the right length for its country) is the bound, not valid (in a range that was
    allotted when the library was made): ranges open every month, and the numbers reserved for
    tests, +1 NPA-555-01xx, are allotted to nobody.
    """
    if _NANP.fullmatch(text):
        return text
    if region == "CN" and (mobile := _CN_MOBILE.fullmatch(text)):
        return f"+86{mobile[1]}"
    number = text.translate(_PHONE_MARKS)
    if not number.isascii():
        number = unicodedata.normalize("NFKC", number).translate(_PHONE_MARKS)
    mobile = _CN_MOBILE.fullmatch(number)
    if mobile and (region == "CN" or number[0] == "+"):
        return f"+86{mobile[1]}"
    return number if _NANP.fullmatch(number) else _parse_phone(number, region)


def _parse_phone(number: str, region: str) -> str:
    if _EXPONENT.fullmatch(number):
        remedy = "A spreadsheet has rounded the number: format the column as text and fill it in again."
        raise InputError("phone", "the number is written as a power of ten", remedy)
    remedy = f"Write +COUNTRY NUMBER such as +12125550123, or a number of {region}."
    if not re.fullmatch(r"\+?[0-9/]{3,20}", number):
        raise InputError("phone", "not one telephone number", remedy)
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException as error:
        raise InputError("phone", "not a telephone number", remedy) from error
    # A number that rings in its own town only is "possible" too, but nothing a gateway could reach.
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise InputError("phone", "too short or too long for its country", remedy)
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def read_zone(text: str) -> str:
    """A name of the IANA list, "" = the bank's."""
    if text and text not in _zones():
        raise InputError("zone", "no such time zone", "Write a name such as Asia/Shanghai.")
    return text


@lru_cache(maxsize=1000)
def read_locale(text: str) -> str:
    """A BCP 47 tag in its usual case, "" = the bank's."""
    tag = text.replace("_", "-")
    if tag and not _LOCALE.fullmatch(tag):
        raise InputError("locale", "not a language tag", "Write one such as zh-CN or en.")
    language, *rest = tag.split("-")
    cases = {2: str.upper, 4: str.title}
    return "-".join([language.lower(), *(cases.get(len(part), str.lower)(part) for part in rest)])


def read_kind(text: str) -> ContactKind:
    """Customer, employee or working group; nothing means customer."""
    try:
        return _KINDS[text.lower()]
    except KeyError as error:
        raise InputError("kind", "no such kind of contact", f"Write one of {', '.join(ContactKind)}.") from error


def read_name(text: str) -> str:
    """One line."""
    if not text.isprintable() and _UNWANTED.search(text):
        raise InputError("name", "holds a line break or a control character", "Write the name on one line.")
    return text


def read_act(text: str) -> ConsentAct | None:
    """Yes, no, or nothing said."""
    word = text.lower()
    if word in _YES:
        return ConsentAct.OPT_IN
    if word in _NO:
        return ConsentAct.OPT_OUT
    if word:
        raise InputError("consent", "neither yes nor no", "Write yes, no, or leave it empty.")
    return None


def read_moment(text: str, zone: str, now: datetime) -> datetime | None:
    """An ISO date or time, local to `zone` where it names no offset; not after `now`."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text.replace("/", "-"))
    except ValueError as error:
        raise InputError("consent_date", "not a date", "Write it as 2026-01-31 or 2026-01-31T09:30.") from error
    at = at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))
    if at > now:
        raise InputError("consent_date", "lies in the future", "Nobody can have consented yet.")
    return at


def clean_cell(cell: str) -> str:
    """Without spaces around it and without the apostrophe an export puts before formulas."""
    if len(cell) > MAX_FIELD_CHARS:
        raise InputError("cell", f"longer than {MAX_FIELD_CHARS} characters", "Shorten it.")
    text = cell.strip()
    return plain_cell(text) if text[:1] == "'" else text


def read_external_id(text: str) -> str:
    """Any text on one line, up to 200 characters."""
    if not text or len(text) > _ID_CHARS:
        problem = f"longer than {_ID_CHARS} characters" if text else "is empty"
        raise InputError("external_id", problem, "Give every row an id of its own.")
    return read_name(text)


def read_attribute(cell: str) -> AttributeValue:
    """Number, truth value, or text; "" is None. What would not read back the same stays text: 007, 1.0e5, +86."""
    text = clean_cell(cell)
    if text[:1] in "-0123456789":
        if _INTEGER.fullmatch(text) and text != "-0":
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    if not text.isprintable() and _UNWANTED.search(text.replace("\n", "").replace("\t", "").replace("\r", "")):
        raise InputError("attribute", "holds a control character", "Remove it.")
    return _NAMED_VALUES.get(text, text) if text else None
