"""Made-up values for demonstrations: the same for the same external id, on every machine."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from notifier.domain.channel import Channel
from notifier.domain.contact import AttributeValue, ConsentAct, ConsentRecord, Contact, ContactKind
from notifier.store.contact_batches import ConsentRow

SOURCE = "synthetic"
BRANCHES: dict[str, str] = {
    "静安支行": "Shanghai",
    "徐汇支行": "Shanghai",
    "外滩支行": "Shanghai",
    "陆家嘴支行": "Shanghai",
    "观前街支行": "Suzhou",
    "工业园区支行": "Suzhou",
    "西湖支行": "Hangzhou",
    "新街口支行": "Nanjing",
    "天山支行": "Urumqi",
    "中环支行": "Hong Kong",
}
"""Branch → city of the invented bank; the starter pack speaks of these."""

_BRANCH_WEIGHTS = (18, 15, 12, 14, 12, 8, 9, 7, 3, 2)
_ZONES = {"Urumqi": "Asia/Urumqi", "Hong Kong": "Asia/Hong_Kong"}
_ABROAD = ("Europe/London", "America/New_York", "America/Los_Angeles", "Australia/Sydney", "Europe/Berlin")
_ABROAD_PCT = 2
_ENGLISH_PCT = 15
_SURNAMES = "王李张刘陈杨黄赵周吴徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾萧田董潘袁于蒋蔡余杜叶程苏魏吕丁任沈"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英华玉兰红建国文辉晨宇轩浩然子涵雨欣怡佳琪梦瑶思远志航嘉诚"
_FIRST_TEXT = """
Anna Ben Carla David Emma Felix Grace Henry Irene Jack Kate Leo Mia Noah Olivia Paul Ruby Sam Tina Victor
"""
_FIRST = tuple(_FIRST_TEXT.split())
_LAST_TEXT = """
Adams Baker Clark Davis Evans Foster Green Harris Irwin Jones King Lewis Moore Nolan Owens Parker Reed Scott
"""
_LAST = tuple(_LAST_TEXT.split())

# Area codes of the United States in service; within each, 555-0100 to 555-0199 are reserved for fiction.
_AREA_CODES_TEXT = """
201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 239 240 248 251 252
253 254 256 260 262 267 269 270 276 281 301 302 303 304 305 307 308 309 310 312 313 314 315 316 317 318 319 320
321 323 330 331 334 336 337 339 347 351 352 360 361 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417
419 423 424 425 430 432 434 435 440 443 469 478 479 480 484 501 502 503 504 505 507 508 509 510 512 513 515 516
517 518 520 530 540 541 551 559 561 562 563 567 570 571 573 574 580 585 586 601 602 603 605 606 607 608 609 610
612 614 615 616 617 618 619 620 623 626 630 631 636 641 646 650 651 660 661 662 678 682 701 702 703 704 706 707
708 712 713 714 715 716 717 718 719 720 724 727 731 732 734 740 754 757 760 763 765 770 772 773 774 775 781 785
786 801 802 803 804 805 806 808 810 812 813 814 815 816 817 818 828 830 831 832 843 845 847 848 850 856 857 858
859 860 862 863 864 865 870 878 901 903 904 906 907 908 909 910 912 913 914 915 916 917 918 919 920 925 928 931
936 937 940 941 949 951 952 954 956 970 971 972 973 978 979 980 985 989
"""
_AREA_CODES = tuple(_AREA_CODES_TEXT.split())
_STAFF_CODES = 10  # so that employees made up on their own meet no customer's number
_SLOTS = len(_AREA_CODES) * 100
CAPACITY = _SLOTS - _STAFF_CODES * 100
"""How many customers can get a number of their own; those beyond get none."""

_FIRST_DAY = datetime(2025, 9, 1, 2, 0, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class Draft:
    """A contact in the making; empty fields may be filled."""

    external_id: str
    kind: ContactKind = ContactKind.CUSTOMER
    name: str = ""
    locale: str = ""
    zone: str = ""
    email: str = ""
    phone: str = ""
    attributes: dict[str, AttributeValue] = field(default_factory=dict)
    consents: tuple[ConsentRow, ...] = ()
    consent_source: str = ""
    consent_date: datetime | None = None


class Synthesizer:
    """Fills contacts. Keeps which numbers are taken: one synthesizer per file, in the file's order."""

    ATTRIBUTES = ("city", "branch")

    def __init__(self) -> None:
        self._taken = bytearray(_SLOTS)

    def fill(self, draft: Draft) -> None:
        """Give the draft what it lacks; what it has stays."""
        dice = _Dice(draft.external_id)
        if not draft.attributes.get("branch"):
            draft.attributes["branch"] = dice.pick(tuple(BRANCHES), _BRANCH_WEIGHTS)
        city = BRANCHES.get(str(draft.attributes["branch"]), "Shanghai")
        draft.attributes["city"] = draft.attributes.get("city") or city
        draft.locale = draft.locale or ("en" if dice.roll() < _ENGLISH_PCT else "zh-CN")
        abroad = dice.roll() < _ABROAD_PCT
        far = _ABROAD[dice.number(len(_ABROAD))]
        draft.zone = draft.zone or (far if abroad else _ZONES.get(str(draft.attributes["city"]), "Asia/Shanghai"))
        draft.name = draft.name or _name(dice, draft.locale)
        draft.email = draft.email or f"{_mailbox(draft.external_id)}@example.com"
        draft.phone = draft.phone or self._next_number(draft)
        draft.consents = draft.consents or _consents(dice)

    def _next_number(self, draft: Draft) -> str:
        """The slot its id names, else the next free one; ids that count up never meet."""
        staff = draft.kind is not ContactKind.CUSTOMER
        first, size = (CAPACITY, _SLOTS - CAPACITY) if staff else (0, CAPACITY)
        wanted = _wanted_slot(draft.external_id) % size
        slot = self._taken.find(0, first + wanted, first + size)
        if slot < 0:
            slot = self._taken.find(0, first, first + wanted)
        if slot < 0:
            return ""
        self._taken[slot] = 1
        return f"+1{_AREA_CODES[slot // 100]}55501{slot % 100:02}"


def synthetic_contacts(customers: int, *, employees: int = 60) -> Iterator[Contact]:
    """Customers C00001…, then employees E0001…, complete with addresses and consent."""
    synthesizer = Synthesizer()
    drafts = [("C", 5, ContactKind.CUSTOMER, customers), ("E", 4, ContactKind.EMPLOYEE, employees)]
    for letter, digits, kind, number in drafts:
        for n in range(1, number + 1):
            draft = Draft(external_id=f"{letter}{n:0{digits}}", kind=kind)
            synthesizer.fill(draft)
            yield _contact(draft)


def _contact(draft: Draft) -> Contact:
    return Contact(
        external_id=draft.external_id,
        kind=draft.kind,
        name=draft.name,
        locale=draft.locale,
        zone=draft.zone,
        email=draft.email,
        phone=draft.phone,
        attributes=draft.attributes,
        consents=tuple(
            ConsentRecord(
                channel=Channel(row.channel),
                topic=row.topic,
                act=ConsentAct(row.act),
                source=row.source,
                proof=row.proof,
                at=row.at or _FIRST_DAY,
            )
            for row in draft.consents
        ),
    )


class _Dice:
    """Numbers drawn from a hash: 32 bytes, two for each draw."""

    def __init__(self, external_id: str) -> None:
        self._bytes = hashlib.sha256(b"notifier synthetic " + external_id.encode()).digest()
        self._at = 0

    def number(self, below: int) -> int:
        drawn = int.from_bytes(self._bytes[self._at : self._at + 2], "big")
        self._at += 2
        return drawn * below >> 16

    def roll(self) -> float:
        """0 to 99."""
        return self.number(100)

    def pick(self, among: tuple[str, ...], weights: tuple[int, ...]) -> str:
        left = self.number(sum(weights))
        for value, weight in zip(among, weights, strict=True):
            left -= weight
            if left < 0:
                return value
        raise AssertionError("weights are used up")


def _name(dice: _Dice, locale: str) -> str:
    if not locale.startswith("zh"):
        return f"{_FIRST[dice.number(len(_FIRST))]} {_LAST[dice.number(len(_LAST))]}"
    given = _GIVEN[dice.number(len(_GIVEN))]
    second = _GIVEN[dice.number(len(_GIVEN))] if dice.roll() < 70 else ""
    return _SURNAMES[dice.number(len(_SURNAMES))] + given + second


def _mailbox(external_id: str) -> str:
    """The id itself where it can stand before an @, else a hash of it, so that no two ids share one."""
    if re.fullmatch(r"[A-Z0-9][A-Z0-9_-]{0,40}|[a-z0-9][a-z0-9_-]{0,40}", external_id):
        return external_id.lower()
    return f"x{hashlib.sha256(external_id.encode()).hexdigest()[:16]}"


def _wanted_slot(external_id: str) -> int:
    digits = re.search(r"([0-9]{1,9})$", external_id)
    return int(digits[1]) if digits else int.from_bytes(hashlib.sha256(external_id.encode()).digest()[:6], "big")


def _consents(dice: _Dice) -> tuple[ConsentRow, ...]:
    """About 62 % agree to education by e-mail, 35 % by SMS; 2 % want nothing by one channel, 1 % no survey."""
    at = _FIRST_DAY + timedelta(days=dice.number(60), minutes=dice.number(480))
    acts = (
        (Channel.EMAIL, "education", ConsentAct.OPT_IN, 62),
        (Channel.SMS, "education", ConsentAct.OPT_IN, 35),
        (Channel.EMAIL, "", ConsentAct.OPT_OUT, 2),
        (Channel.SMS, "", ConsentAct.OPT_OUT, 2),
        (Channel.EMAIL, "feedback", ConsentAct.OPT_OUT, 1),
    )
    return tuple(
        ConsentRow(channel, topic, act, SOURCE, "", at) for channel, topic, act, pct in acts if dice.roll() < pct
    )
