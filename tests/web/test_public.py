"""The public pages: looking changes nothing, sending counts once, words instead of codes."""

import re
from html.parser import HTMLParser

import pytest

from notifier.domain.links import LinkKind, sign_link
from notifier.store.database import Database
from notifier.web.public.theme import contrast_to_white, readable
from notifier.web.public.words import WORDS, choose_locale
from tests.feedback.faces import Doors, open_doors
from tests.feedback.rows import LINKS, Sent, add_message, add_scene, fetch


async def _open(database: Database, **message: object) -> tuple[Doors, Sent]:
    scene = await add_scene(database, topic=str(message.pop("topic", "")))
    return open_doors(database), await add_message(database, scene, **message)  # type: ignore[arg-type]


async def _answers(database: Database) -> list[tuple[object, ...]]:
    return await fetch(database, "SELECT question, number, text FROM notifier.answers ORDER BY question")


async def test_looking_at_every_rating_records_no_answer(database: Database) -> None:
    doors, sent = await _open(database)
    for rating in range(1, 6):
        page = await doors.client.get(f"/s/{sent.survey_token}?rating={rating}")
        assert page.status_code == 200
        assert f'value="{rating}" checked' in page.text
        assert page.text.count(" checked") == 1
    assert await _answers(database) == []
    assert await fetch(database, "SELECT answered_at, opened_at IS NOT NULL FROM notifier.invitations") == [
        (None, True)
    ]


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"sec-purpose": "prefetch;prerender"}),
        ("GET", {"purpose": "prefetch"}),
        ("GET", {"user-agent": "Mozilla/5.0 (compatible; BarracudaCentral scanner)"}),
        ("GET", {"user-agent": "WhatsApp/2.23.20.0"}),
    ],
)
async def test_a_machine_does_not_open_the_survey(database: Database, method: str, headers: dict[str, str]) -> None:
    doors, sent = await _open(database)
    page = await doors.client.request(method, f"/s/{sent.survey_token}", headers=headers)
    assert page.status_code == 200
    assert await fetch(database, "SELECT opened_at FROM notifier.invitations") == [(None,)]


async def test_sending_records_the_answers_once(database: Database) -> None:
    doors, sent = await _open(database)
    address = f"/s/{sent.survey_token}"
    thanks = await doors.client.post(address, data={"rating": "4", "improve": "app", "comment": "Good & fast"})
    assert thanks.status_code == 200
    assert "We read every comment" in thanks.text
    again = await doors.client.post(address, data={"rating": "1"})
    assert again.status_code == 200
    assert "already answered" in again.text
    assert "already answered" in (await doors.client.get(address)).text
    expected = [("comment", None, "Good & fast"), ("improve", None, "app"), ("rating", 4, None)]
    assert await _answers(database) == expected


async def test_what_is_wrong_is_said_beside_the_question_and_nothing_is_lost(database: Database) -> None:
    doors, sent = await _open(database)
    form = {"comment": "x" * 101 + "<b>", "improve": "branch"}
    page = await doors.client.post(f"/s/{sent.survey_token}", data=form)
    assert page.status_code == 422
    assert "Please answer this question." in page.text
    assert "This text is too long: 104 characters. Please write at most 100." in page.text
    assert "x" * 101 + "&lt;b&gt;" in page.text
    assert 'value="branch" checked' in page.text
    assert 'href="#q-rating"' in page.text
    assert await _answers(database) == []


async def test_a_rating_off_the_scale_is_no_answer(database: Database) -> None:
    doors, sent = await _open(database)
    page = await doors.client.post(f"/s/{sent.survey_token}", data={"rating": "6", "improve": "nothing"})
    assert "Please choose a number from 1 to 5." in page.text
    assert "Please choose one of the options." in page.text
    assert "checked" not in (await doors.client.get(f"/s/{sent.survey_token}?rating=6&improve=nothing")).text


async def test_the_page_speaks_the_language_of_the_message_and_switches(database: Database) -> None:
    doors, sent = await _open(database, locale="zh-CN")
    page = await doors.client.get(f"/s/{sent.survey_token}?rating=4")
    assert '<html lang="zh-CN">' in page.text
    assert "您满意吗？" in page.text
    assert '<a href="?rating=4&amp;lang=en" lang="en" hreflang="en">English</a>' in page.text
    english = await doors.client.get(f"/s/{sent.survey_token}?rating=4&lang=en")
    assert "How satisfied are you?" in english.text
    assert 'value="4" checked' in english.text
    thanks = await doors.client.post(f"/s/{sent.survey_token}?lang=en", data={"rating": "4"})
    assert "Thank you." in thanks.text
    assert await fetch(database, "SELECT locale FROM notifier.responses") == [("en",)]


async def test_the_month_of_the_run_decides_what_is_asked(database: Database) -> None:
    doors, march = await _open(database, month=3)
    assert "Do you trust us?" in (await doors.client.get(f"/s/{march.survey_token}")).text
    doors, april = await _open(database, month=4)
    assert "Do you trust us?" not in (await doors.client.get(f"/s/{april.survey_token}")).text


async def test_a_closed_survey_says_so_politely(database: Database) -> None:
    doors, sent = await _open(database, closes="-1 second")
    shown = await doors.client.get(f"/s/{sent.survey_token}")
    told = await doors.client.post(f"/s/{sent.survey_token}", data={"rating": "5"})
    assert (shown.status_code, told.status_code) == (410, 410)
    assert "This survey has ended" in told.text
    assert await _answers(database) == []


async def test_every_link_that_leads_nowhere_gets_the_same_page(database: Database) -> None:
    doors, sent = await _open(database)
    unknown = sign_link(LINKS, LinkKind.SURVEY, 999)
    tokens = [unknown, sent.survey_token[:-1] + "_", sent.token(LinkKind.UNSUBSCRIBE), "x", "s.1.é"]
    pages = [await doors.client.get(f"/s/{token}") for token in tokens]
    pages.append(await doors.client.post(f"/s/{unknown}", data={"rating": "5"}))
    for kind in "ulp":
        pages.append(await doors.client.get(f"/{kind}/{sent.survey_token}"))
    pages.append(await doors.client.get(f"/l/{sent.token(LinkKind.TRACKED, 77)}"))
    assert {page.status_code for page in pages} == {404}
    assert len({page.text for page in pages}) == 1


@pytest.mark.parametrize("kind", ["s", "u", "p"])
async def test_pages_are_private_strict_and_small(database: Database, kind: str) -> None:
    doors, sent = await _open(database)
    kinds = {"u": LinkKind.UNSUBSCRIBE, "p": LinkKind.PREFERENCES}
    token = sent.survey_token if kind == "s" else sent.token(kinds[kind])
    page = await doors.client.get(f"/{kind}/{token}")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert "noindex" in page.headers["x-robots-tag"]
    assert page.headers["referrer-policy"] == "no-referrer"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=|https?://", page.text)
    assert "set-cookie" not in page.headers
    found = re.search(r'rel="stylesheet" href="([^"]+)"', page.text)
    assert found is not None
    style = await doors.client.get(found[1])
    assert style.headers["content-type"].startswith("text/css")
    assert "immutable" in style.headers["cache-control"]
    assert "--accent:#0b5d5e" in style.text
    assert len(page.content) + len(style.content) < 30_000


class _Outline(HTMLParser):
    """Collects what assistive technology needs: ids, what refers to them, fields and their labels."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.references: set[str] = set()
        self.groups = self.legends = self.radios = self.labels = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if identity := found.get("id"):
            assert identity not in self.ids
            self.ids.add(identity)
        self.references |= set((found.get("aria-describedby") or "").split())
        self.references |= {value for name, value in attrs if name == "for" and value}
        if tag == "a" and (found.get("href") or "").startswith("#"):
            self.references.add(str(found["href"])[1:])
        self.groups += tag == "fieldset"
        self.legends += tag == "legend"
        self.radios += found.get("type") == "radio"
        self.labels += tag == "label"


async def test_fields_are_named_for_assistive_technology(database: Database) -> None:
    doors, sent = await _open(database, month=3)
    page = await doors.client.post(f"/s/{sent.survey_token}", data={"comment": "x" * 200})
    outline = _Outline()
    outline.feed(page.text)
    assert outline.references <= outline.ids
    assert (outline.groups, outline.legends) == (3, 3)
    assert (outline.radios, outline.labels) == (13, 14)


async def test_every_answer_in_a_demo_is_marked_as_simulated(database: Database) -> None:
    scene = await add_scene(database)
    for demo in (False, True):
        sent = await add_message(database, scene)
        await open_doors(database, demo=demo).client.post(f"/s/{sent.survey_token}", data={"rating": "4"})
    assert await fetch(database, "SELECT simulated FROM notifier.responses ORDER BY id") == [(False,), (True,)]


async def test_too_long_a_form_is_refused(database: Database) -> None:
    doors, sent = await _open(database)
    page = await doors.client.post(f"/s/{sent.survey_token}", data={"comment": "x" * 300_000})
    assert page.status_code == 413


async def _consents(database: Database) -> list[tuple[object, ...]]:
    return await fetch(database, "SELECT channel, topic, act, source FROM notifier.consents ORDER BY id")


async def test_looking_at_the_opt_out_changes_nothing(database: Database) -> None:
    doors, sent = await _open(database, topic="education")
    page = await doors.client.get(f"/u/{sent.token(LinkKind.UNSUBSCRIBE)}")
    assert "Only e-mails of this kind" in page.text
    assert await _consents(database) == []


async def test_an_opt_out_is_of_the_topic_or_of_the_channel(database: Database) -> None:
    doors, sent = await _open(database, topic="education")
    address = f"/u/{sent.token(LinkKind.UNSUBSCRIBE)}"
    page = await doors.client.post(address, data={"scope": "topic"})
    assert "no more e-mails of this kind" in page.text
    await doors.client.post(address, data={"scope": "topic"})
    page = await doors.client.post(address, data={"scope": "channel"})
    assert "no more e-mails from us" in page.text
    assert await _consents(database) == [
        ("email", "education", "opt-out", "opt-out page"),
        ("email", "", "opt-out", "opt-out page"),
    ]
    assert await fetch(database, "SELECT event_key, kind FROM notifier.events") == [("opted-out", "opted-out")]


async def test_a_message_without_topic_opts_out_of_its_channel(database: Database) -> None:
    doors, sent = await _open(database, channel="sms")
    page = await doors.client.get(f"/u/{sent.token(LinkKind.UNSUBSCRIBE)}")
    assert "You will get no more text messages from us." in page.text
    await doors.client.post(f"/u/{sent.token(LinkKind.UNSUBSCRIBE)}")
    assert await _consents(database) == [("sms", "", "opt-out", "opt-out page")]


@pytest.mark.parametrize("agent", ["", "Mozilla/5.0 (compatible; SomeBot/1.0)"])
@pytest.mark.parametrize("multipart", [False, True])
async def test_one_click_is_honoured_whoever_sends_it(database: Database, agent: str, multipart: bool) -> None:
    doors, sent = await _open(database, topic="education")
    body: dict[str, object] = {"data": {"List-Unsubscribe": "One-Click"}}
    if multipart:
        body = {"files": {"List-Unsubscribe": (None, "One-Click")}}
    address = f"/u/{sent.token(LinkKind.UNSUBSCRIBE)}"
    answer = await doors.client.post(address, headers={"user-agent": agent}, **body)  # type: ignore[arg-type]
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert await _consents(database) == [("email", "education", "opt-out", "one-click")]


async def test_preferences_stop_what_is_ticked_and_start_nothing(database: Database) -> None:
    doors, sent = await _open(database)
    address = f"/p/{sent.token(LinkKind.PREFERENCES)}"
    assert "Stop e-mails" in (await doors.client.get(address)).text
    saved = await doors.client.post(address, data={"stop_email": "1", "stop_pigeon": "1"})
    assert "Your choice is saved." in saved.text
    assert "stopped" in saved.text
    await doors.client.post(address, data={})
    assert await _consents(database) == [("email", "", "opt-out", "preferences page")]


async def _link(database: Database, target: str = "https://www.riverside-bank.example/cash?a=1") -> int:
    rows = await fetch(database, "INSERT INTO notifier.links (team_id, target) VALUES (1, $1) RETURNING id", target)
    return int(str(rows[0][0]))


async def test_a_tracked_link_goes_to_the_stored_target_and_notes_one_click(database: Database) -> None:
    doors, sent = await _open(database)
    link_id = await _link(database)
    for _ in range(2):
        answer = await doors.client.get(f"/l/{sent.token(LinkKind.TRACKED, link_id)}?to=https://evil.example.com")
        assert answer.status_code == 302
        assert answer.headers["location"] == "https://www.riverside-bank.example/cash?a=1"
    events = await fetch(database, "SELECT event_key, kind, source FROM notifier.events")
    assert events == [(f"clicked:{link_id}", "clicked", "link")]


async def test_a_scanner_before_the_customer_does_not_hide_their_click(database: Database) -> None:
    doors, sent = await _open(database)
    link_id = await _link(database)
    address = f"/l/{sent.token(LinkKind.TRACKED, link_id)}"
    await doors.client.head(address)
    await doors.client.get(address, headers={"purpose": "prefetch"})
    await doors.client.get(address)
    sources = await fetch(database, "SELECT source FROM notifier.events ORDER BY source")
    assert sources == [("link",), ("machine",)]


async def test_a_revoked_link_leads_nowhere(database: Database) -> None:
    doors, sent = await _open(database)
    link_id = await _link(database)
    await fetch(database, "UPDATE notifier.links SET revoked_at = now()")
    assert (await doors.client.get(f"/l/{sent.token(LinkKind.TRACKED, link_id)}")).status_code == 404
    assert await fetch(database, "SELECT count(*) FROM notifier.events") == [(0,)]


@pytest.mark.parametrize("accent", ["#0b5d5e", "#ffcc00", "#ffffff", "#d00000", "red"])
def test_every_accent_becomes_readable(accent: str) -> None:
    found = readable(accent)
    levels = (float(int(found[1:3], 16)), float(int(found[3:5], 16)), float(int(found[5:7], 16)))
    assert contrast_to_white(levels) >= 4.5
    assert readable("#0B5D5E") == "#0b5d5e"


def test_both_languages_say_the_same_things() -> None:
    slots = re.compile(r"\{\w+\}")
    for key, text in WORDS["en"].items():
        assert set(slots.findall(WORDS["zh-CN"][key])) == set(slots.findall(text)), key
    assert WORDS["en"].keys() == WORDS["zh-CN"].keys()


def test_the_nearest_language_is_chosen() -> None:
    assert choose_locale(None, "zh-TW", default="en") == "zh-CN"
    assert choose_locale("en-GB", "zh-CN", default="zh-CN") == "en"
    assert choose_locale("fr", "", default="de") == "en"
