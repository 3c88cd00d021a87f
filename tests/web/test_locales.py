"""Both languages say everything, with the same placeholders."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.pofile import read_po

from notifier.domain.event import EventKind
from notifier.domain.message import State
from notifier.domain.purpose import Purpose
from notifier.web.access.passwords import ROLES
from notifier.web.console.catalogues import FOLDER, LOCALES, load_catalogue
from notifier.web.console.navigation import navigation
from notifier.web.console.words import Words, pick_locale

WEB = Path(__file__).parents[2] / "notifier" / "web"
_SAID = re.compile(r"""\bt\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')\s*[,)]""")
_CHOSEN = [
    *(state.value for state in State),
    *(purpose.value for purpose in Purpose),
    *(f"event {kind.value}" for kind in EventKind),
    *(
        f"run {state}"
        for state in ("draft", "waiting", "submitted", "scheduled", "running", "stopped", "ended", "cancelled")
    ),
    *("email", "sms", "social", *ROLES),
    *(entry.label for group in navigation(may_audit=True, may_administer=True, has_sandbox=True) for entry in group),
]


def _said() -> set[str]:
    files = [*(WEB / "pages" / "console").rglob("*.html"), *(WEB / "console").rglob("*.py")]
    return {double or single for file in files for double, single in _SAID.findall(file.read_text())}


_JINJA = re.compile(r"{#.*?#}|{%.*?%}|{{.*?}}", re.DOTALL)
_ADDRESS = re.compile(r"https?://[\w.-]*|\?\w+=[\w=&;]*")
_SPOKEN = ("alt", "aria-label", "aria-description", "placeholder", "title")
_THE_SAME_EVERYWHERE = {"CSV", "API"}
_LETTERS = re.compile(r"[^\W\d_]{2,}")


class _Visible(HTMLParser):
    """What a template says without asking for a translation; code is in no language."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._within_code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within_code += tag in {"code", "kbd"}
        self.said += [value for name, value in attrs if name in _SPOKEN and value]

    def handle_endtag(self, tag: str) -> None:
        self._within_code -= tag in {"code", "kbd"}

    def handle_data(self, data: str) -> None:
        if not self._within_code:
            self.said.append(data)


def _untranslated(template: str) -> list[str]:
    reader = _Visible()
    reader.feed(_ADDRESS.sub("", _JINJA.sub("", template)))
    reader.close()
    found = [text.strip() for text in reader.said]
    return [text for text in found if set(_LETTERS.findall(text)) - _THE_SAME_EVERYWHERE]


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\((\w+)\)s", text))


def test_chinese_says_everything() -> None:
    catalogue = load_catalogue("zh-CN")
    assert sorted(message for message in {*_said(), *_CHOSEN} if message not in catalogue) == []


@pytest.mark.parametrize("path", sorted((WEB / "pages").rglob("*.html")), ids=lambda path: "/".join(path.parts[-2:]))
def test_a_page_says_nothing_untranslated(path: Path) -> None:
    assert _untranslated(path.read_text()) == []


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ('<h1>{{ t("Runs") }}</h1>', []),
        ("<h1>Runs</h1>", ["Runs"]),
        ('<input placeholder="Search" title="{{ t("x") }}">', ["Search"]),
        ("<p>{{ count }} contacts{% if a %}, gone{% endif %}</p>", ["contacts, gone"]),
        ("<p>执行 {{ id }}</p>", ["执行"]),
        ("<code>notifier apply</code> · {{ run }}", []),
    ],
)
def test_what_is_untranslated_is_seen(template: str, found: list[str]) -> None:
    assert _untranslated(template) == found


@pytest.mark.parametrize("locale", LOCALES)
def test_translation_fills_the_same_places(locale: str) -> None:
    for message, text in load_catalogue(locale).items():
        assert _placeholders(message) == _placeholders(text), message


@pytest.mark.parametrize("locale", LOCALES)
def test_a_message_has_one_translation(locale: str) -> None:
    seen: dict[str, set[str]] = {}
    for path in (FOLDER / LOCALES[locale]).glob("*.po"):
        with path.open("rb") as file:
            messages = list(read_po(file))
        for message in messages:
            seen.setdefault(str(message.id), set()).add(str(message.string))
    assert {message: sorted(texts) for message, texts in seen.items() if message and len(texts) > 1} == {}


def test_english_has_words_for_what_is_chosen_by_a_value() -> None:
    catalogue = load_catalogue("en")
    assert [word for word in _CHOSEN if word.startswith(("event ", "run ")) and word not in catalogue] == []


@pytest.mark.parametrize(
    ("chosen", "accepted", "locale"),
    [
        ("en", "zh-CN", "en"),
        ("", "en-GB,en;q=0.9", "en"),
        ("", "zh-TW", "zh-CN"),
        ("", "de-DE,en;q=0.5", "en"),
        ("", "fr", "zh-CN"),
        ("xx", "", "zh-CN"),
    ],
)
def test_language_is_the_chosen_one_else_the_browsers(chosen: str, accepted: str, locale: str) -> None:
    assert pick_locale(chosen=chosen, accepted=accepted) == locale


def test_dates_and_numbers_are_written_as_the_language_writes_them() -> None:
    at = datetime(2026, 3, 12, 7, 5, tzinfo=UTC)
    chinese, english = (Words(locale, ZoneInfo("Asia/Shanghai")) for locale in ("zh-CN", "en"))
    assert (chinese.moment(at), english.moment(at)) == ("2026年3月12日 15:05", "12 Mar 2026, 15:05")
    assert (chinese.number(1234567), english.percent(87.46)) == ("1,234,567", "87.5%")
    assert (chinese.span(timedelta(days=2)), english.span(timedelta(weeks=1))) == ("2 天", "1 week")
    assert english.listed(["a", "b", "c"]) == "a, b and c"
    assert english.moment(None) == english.percent(None) == "–"
