"""The editor of templates at the console: read, tried, saved, never over somebody, never a way out."""

import re

import httpx
import pytest

from notifier.domain.person import Person
from notifier.planning.templates.keep import take_over
from notifier.settings import Settings
from notifier.store.database import Database
from notifier.store.previews import find_preview, keep_preview
from notifier.store.queue import open_bell
from notifier.web.console.problems import say_problem
from tests.builders import execute, fetch
from tests.web.rooms import add_user, apply_pack, browser, form_token, log_in, running_app

NOTICE = "/templates/measures-notice"
PAGES = ("/templates", NOTICE, f"{NOTICE}?samples=1", f"{NOTICE}/versions", f"{NOTICE}/versions/1")


@pytest.fixture
async def mine(visitor: httpx.AsyncClient, database: Database) -> httpx.AsyncClient:
    """An author whose console manages the weekly notice, in version 2."""
    async with database.transaction() as tx:
        await take_over(tx, "measures-notice", team_id=1, by=Person(name="lin"))
    return visitor


async def _fields(client: httpx.AsyncClient, path: str = NOTICE, **changed: str) -> dict[str, str]:
    """The editor's form as a browser would send it."""
    page = (await client.get(path)).text
    fields = {"form_token": await form_token(client), "open": "sms.en.txt"}
    for name, value in re.findall(r'<input[^>]*? name="((?:title|subject|base|over)[^"]*)" value="([^"]*)"', page):
        fields[name] = _plain(value)
    for name, text in re.findall(r'<textarea[^>]*? name="([^"]+)"[^>]*>\n(.*?)</textarea>', page, re.DOTALL):
        fields[name] = _plain(text).replace("\n", "\r\n")
    assert "file.email.zh-CN.html" in fields
    return fields | {name.replace("__", "."): value for name, value in changed.items()}


def _plain(text: str) -> str:
    for found, plain in (("&lt;", "<"), ("&gt;", ">"), ("&#34;", '"'), ("&#39;", "'"), ("&amp;", "&")):
        text = text.replace(found, plain)
    return text


# ── reading ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("locale", ["zh-CN", "en"])
async def test_every_page_opens_and_keeps_the_policy(mine: httpx.AsyncClient, locale: str) -> None:
    mine.cookies.set("notifier_language", locale)
    for path in PAGES:
        page = await mine.get(path)
        assert page.status_code == 200, path
        assert f'<html lang="{locale}"' in page.text
        assert not re.search(r"<[^>]+ style=|<script(?! src)|<style| on[a-z]+=\"", page.text), path


async def test_pages_want_a_login_and_a_template(
    visitor: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    for path in ("/templates/nothing", "/templates/nothing/versions", f"{NOTICE}/versions/99", f"{NOTICE}/mail/x"):
        assert (await visitor.get(path)).status_code == 404, path
    async with running_app(settings, database) as app, browser(app) as stranger:
        for path in (*PAGES, f"{NOTICE}/export", f"{NOTICE}/samples"):
            assert (await stranger.get(path)).status_code == 303, path
        for path in (NOTICE, f"{NOTICE}/preview", f"{NOTICE}/take-over", f"{NOTICE}/test", f"{NOTICE}/copy"):
            assert (await stranger.post(path, data={})).status_code == 401, path


async def test_what_a_file_manages_is_read_only_and_names_it(visitor: httpx.AsyncClient) -> None:
    page = (await visitor.get(NOTICE)).text
    assert "templates/measures-notice/template.yaml" in page
    assert "Edit here from now on" in page
    assert "Save as a new version" not in page
    assert page.count(" readonly") >= 9
    answer = await visitor.post(NOTICE, data=await _fields(visitor))
    assert answer.status_code == 409
    assert "manages this template" in answer.text


async def test_viewers_look_and_try_but_change_nothing(settings: Settings, database: Database) -> None:
    await apply_pack(database)
    await add_user(database, "vera", role="viewer")
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client, "vera")
        assert "Edit here from now on" not in (await client.get(NOTICE)).text
        fields = await _fields(client)
        assert (await client.post(f"{NOTICE}/preview", data=fields)).status_code == 200
        for act in ("", "/take-over", "/copy", "/test", "/versions/1/restore"):
            assert (await client.post(NOTICE + act, data={**fields, "to": "x"})).status_code == 403, act


# ── writing ───────────────────────────────────────────────────────────────────────────────────────


async def test_taking_over_then_saving_makes_the_next_versions(visitor: httpx.AsyncClient, database: Database) -> None:
    token = await form_token(visitor)
    answer = await visitor.post(f"{NOTICE}/take-over", data={"form_token": token})
    assert answer.headers["location"] == f"{NOTICE}?done=taken-over"
    fields = await _fields(visitor, file__sms__en__txt="Closed: {{ inputs.closed_branches }}")
    answer = await visitor.post(NOTICE, data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{NOTICE}?done=saved&file=sms.en.txt")
    assert "Saved as version 3." in (await visitor.get(answer.headers["location"])).text
    rows = await fetch(database, "SELECT act, actor FROM notifier.audit WHERE act LIKE 'template.%' ORDER BY id")
    assert rows == [("template.taken-over", "lin"), ("template.saved", "lin")]
    assert "Lin" in (await visitor.get(f"{NOTICE}/versions")).text


async def test_a_form_sent_unchanged_saves_nothing(mine: httpx.AsyncClient, database: Database) -> None:
    answer = await mine.post(NOTICE, data=await _fields(mine))
    assert answer.headers["location"].startswith(f"{NOTICE}?done=unchanged")
    assert await fetch(database, "SELECT max(version) FROM notifier.definitions WHERE key = 'measures-notice'") == [
        (2,)
    ]


async def test_a_mistake_is_shown_at_its_line_with_what_was_typed(mine: httpx.AsyncClient) -> None:
    fields = await _fields(mine, file__sms__en__txt="precious words\r\n{{ inputs.wrod }}")
    answer = await mine.post(NOTICE, data=fields)
    assert answer.status_code == 422
    assert 'data-file="sms.en.txt" data-line="2"' in answer.text
    assert "precious words" in answer.text


async def test_two_editors_at_once_the_second_sees_the_difference(mine: httpx.AsyncClient) -> None:
    first = await _fields(mine, file__sms__en__txt="the first")
    second = {**first, "file.sms.en.txt": "the second"}
    assert (await mine.post(NOTICE, data=first)).status_code == 303
    answer = await mine.post(NOTICE, data=second)
    assert answer.status_code == 409
    assert "Somebody saved version 3" in answer.text
    assert re.search(r'is-removed">.*?the first</td>', answer.text, re.DOTALL)
    assert re.search(r'is-added">.*?the second</td>', answer.text, re.DOTALL)
    assert 'name="over" value="3"' in answer.text
    assert (await mine.post(NOTICE, data={**second, "over": "3"})).status_code == 303


async def test_files_are_added_and_removed_before_they_are_saved(mine: httpx.AsyncClient) -> None:
    fields = await _fields(mine)
    added = await mine.post(f"{NOTICE}/preview", data={**fields, "add": "1", "new_file": "part-1.en.txt"})
    assert 'name="file.part-1.en.txt"' in added.text
    removed = await mine.post(f"{NOTICE}/preview", data={**fields, "remove": "social.en.txt"})
    assert 'name="file.social.en.txt"' not in removed.text
    answer = await mine.post(NOTICE, data={**fields, "file.../../evil.txt": "x"})
    assert answer.status_code == 422
    assert "is no name for a file here" in answer.text


async def test_a_copy_goes_to_a_free_key_only(visitor: httpx.AsyncClient) -> None:
    token = await form_token(visitor)
    answer = await visitor.post(f"{NOTICE}/copy", data={"form_token": token, "to": "my-notice"})
    assert answer.headers["location"] == "/templates/my-notice?done=copied"
    assert "No campaign sends it yet." in (await visitor.get("/templates/my-notice")).text
    for wrong in ("my-notice", "no key", "../x", ""):
        answer = await visitor.post(f"{NOTICE}/copy", data={"form_token": token, "to": wrong})
        assert answer.status_code == 422, wrong


async def test_bodies_of_a_megabyte_and_forged_forms_are_refused(mine: httpx.AsyncClient, database: Database) -> None:
    fields = await _fields(mine)
    assert (await mine.post(NOTICE, data={**fields, "file.sms.en.txt": "x" * 1_100_000})).status_code == 413
    assert (await mine.post(NOTICE, data={**fields, "form_token": "0" * 32})).status_code == 403
    forged = await mine.post(NOTICE, data=fields, headers={"origin": "https://evil.example"})
    assert forged.status_code == 403
    assert await fetch(database, "SELECT max(version) FROM notifier.definitions WHERE key = 'measures-notice'") == [
        (2,)
    ]


# ── preview ───────────────────────────────────────────────────────────────────────────────────────


async def _preview(client: httpx.AsyncClient, **changed: str) -> str:
    answer = await client.post(
        f"{NOTICE}/preview", data=await _fields(client, **changed), headers={"hx-request": "true"}
    )
    assert answer.status_code == 200
    return answer.text


async def test_an_sms_shows_signature_parts_and_what_is_left(mine: httpx.AsyncClient) -> None:
    part = await _preview(mine, file__sms__en__txt="Closed: {{ inputs.closed_branches }}")
    assert "Riverside Bank: Closed: Bund and Lujiazui branches" in part
    assert "GSM-7" in part
    assert "<html" not in part
    part = await _preview(mine, file__sms__en__txt="关 {{ inputs.closed_branches }}" + "x" * 60)
    assert "UCS-2" in part


async def test_a_post_is_held_against_each_networks_limit(mine: httpx.AsyncClient, database: Database) -> None:
    await execute(
        database,
        """
        UPDATE notifier.definitions SET spec = jsonb_set(spec, '{settings}', '{"max_chars": 500}')
        WHERE kind = 'account' AND key = 'mastodon'
        """,
    )
    words = "{{ inputs.closed_branches }} " + "y" * 600
    part = await _preview(mine, open="social.en.txt", file__social__en__txt=words)
    assert "627 / 500" in part
    assert "too long" in part
    assert "627 / 5,000" in part


async def test_a_mail_stands_in_a_frame_without_scripts_or_our_origin(mine: httpx.AsyncClient) -> None:
    evil = (
        '{% extends "_layouts/email.en.html" %}{% block content %}<p>{{ inputs.closed_branches }}</p>'
        '<img src=x onerror=alert(1)><scr{# #}ipt>alert(2)</scr{# #}ipt><a href="javascript:alert(3)">x</a>{% endblock %}'
    )
    part = await _preview(mine, open="email.en.html", file__email__en__html=evil)
    frame = re.search(r'<iframe[^>]* src="([^"]+)" sandbox="([^"]*)"', part)
    assert "alert(" not in re.sub(r"<li.*?</li>", "", part, flags=re.DOTALL)
    assert frame
    assert "allow-scripts" not in frame[2]
    assert "allow-same-origin" not in frame[2]
    mail = await mine.get(_plain(frame[1]))
    policy = mail.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox " in policy
    assert "script-src" not in policy
    assert "allow-scripts" not in policy
    assert mail.headers["x-frame-options"] == "SAMEORIGIN"


async def test_a_mail_is_shown_for_dark_screens_by_its_own_rules(mine: httpx.AsyncClient) -> None:
    part = await _preview(mine, open="email.en.html", scheme="dark")
    frame = re.search(r'<iframe[^>]* src="([^"]+)"', part)
    assert frame
    mail = (await mine.get(_plain(frame[1]))).text
    assert "prefers-color-scheme" not in mail
    assert "@media (min-width: 0)" in mail
    assert "color-scheme: dark" in mail
    light = (await mine.get(_plain(frame[1]).replace("dark", "light"))).text
    assert "@media (max-width: 0)" in light


async def test_values_come_from_the_sample(mine: httpx.AsyncClient) -> None:
    assert "Dear Contact 1," in await _preview(mine, open="email.en.txt", width="text", sample="contact:c1")
    assert "Dear customer," in await _preview(mine, open="email.en.txt", width="text", sample="sparse")
    fields = await _fields(mine, sample="contact:nobody")
    assert (await mine.post(f"{NOTICE}/preview", data=fields)).status_code == 404
    assert 'value="contact:c' in (await mine.get(f"{NOTICE}/samples")).text


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__ }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ],
)
async def test_a_way_out_of_the_sandbox_shows_a_mistake(mine: httpx.AsyncClient, text: str) -> None:
    part = await _preview(mine, file__sms__en__txt=text)
    assert "is-error" in part
    assert "Nothing to show yet." in part


async def test_the_page_without_scripts_shows_the_same_preview(mine: httpx.AsyncClient) -> None:
    answer = await mine.post(
        f"{NOTICE}/preview", data=await _fields(mine, file__sms__en__txt="Now {{ inputs.closed_branches }}")
    )
    assert "<html" in answer.text
    assert "Riverside Bank: Now Bund" in answer.text
    assert 'value="sms.en.txt" id="file-' in answer.text


async def test_a_mail_somebody_else_looks_at_is_not_shown(database: Database, redis_url: str) -> None:
    async with open_bell(redis_url) as bell:
        name = await keep_preview(bell.redis, 1, "<p>mine</p>")
        assert await find_preview(bell.redis, 1, name) == "<p>mine</p>"
        assert await find_preview(bell.redis, 2, name) is None


# ── a test to oneself, versions, export ───────────────────────────────────────────────────────────


async def test_a_test_goes_to_the_one_who_asks(mine: httpx.AsyncClient, database: Database) -> None:
    fields = await _fields(mine, open="email.en.html")
    without = await mine.post(f"{NOTICE}/test", data=fields)
    assert without.status_code == 422
    await execute(database, "UPDATE notifier.users SET email = 'lin@example.com', phone = '+12125550123'")
    answer = await mine.post(f"{NOTICE}/test", data=fields, headers={"hx-request": "true"})
    assert "on its way to you" in answer.text
    rows = await fetch(database, "SELECT kind, channel, address, locale FROM notifier.notes")
    assert rows == [("test", "email", "lin@example.com", "en")]
    post = await mine.post(f"{NOTICE}/test", data={**fields, "open": "social.en.txt"})
    assert "a post cannot be sent to one person" in post.text
    broken = await mine.post(f"{NOTICE}/test", data={**fields, "file.email.en.html": "{{ inputs.wrod }}"})
    assert broken.status_code == 422
    assert await fetch(database, "SELECT count(*) FROM notifier.notes") == [(1,)]


async def test_a_version_shows_its_difference_and_is_restored(mine: httpx.AsyncClient, database: Database) -> None:
    await mine.post(NOTICE, data=await _fields(mine, file__sms__en__txt="A slip {{ inputs.closed_branches }}"))
    page = (await mine.get(f"{NOTICE}/versions/3")).text
    assert "is-added" in page
    assert "A slip {{ inputs.closed_branches }}" in page
    token = await form_token(mine)
    answer = await mine.post(f"{NOTICE}/versions/2/restore", data={"form_token": token, "base": "3"})
    assert answer.headers["location"] == f"{NOTICE}?done=restored"
    late = await mine.post(f"{NOTICE}/versions/3/restore", data={"form_token": token, "base": "3"})
    assert late.status_code == 409
    await execute(
        database,
        "UPDATE notifier.definitions SET spec = jsonb_set(spec, '{files,sms.en.txt}', '\"{{ gone }}\"') "
        "WHERE key = 'measures-notice' AND version = 1",
    )
    refused = await mine.post(f"{NOTICE}/versions/1/restore", data={"form_token": token, "base": "4"})
    assert refused.status_code == 422
    assert "`gone` is unknown" in refused.text


async def test_the_page_says_which_planned_runs_keep_an_older_version(
    mine: httpx.AsyncClient, database: Database
) -> None:
    await execute(
        database,
        """
        INSERT INTO notifier.runs (id, team_id, campaign_id, campaign_key, kind, state, nominal_at, purpose, launched_by, pinned)
        SELECT 203001000001, 1, c.id, c.key, 'launched', 'scheduled', now() + interval '1 day', 'service', 'lin',
            jsonb_build_object('templates', jsonb_build_object('measures-notice', t.id))
        FROM notifier.definitions c, notifier.definitions t
        WHERE c.key = 'measures-notice' AND c.kind = 'campaign' AND t.kind = 'template' AND t.key = 'measures-notice' AND t.version = 1
        """,
    )
    page = (await mine.get(NOTICE)).text
    assert "1 planned run still uses version 1" in page
    assert "/runs/203001000001" in page
    assert "/runs/203001000001" in (await mine.get(f"{NOTICE}/versions")).text


async def test_an_export_is_a_zip_of_the_folder(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.get(f"{NOTICE}/export")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="measures-notice-v1.zip"'
    assert answer.content[:2] == b"PK"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("`inputs.x` is not declared", "`inputs.x` 未声明"),
        ("takes 4 parts (206 characters, UCS-2) with the examples", "按示例数据将拆为 4 条（206 字符，UCS-2）"),
        ("sms.zh-CN.txt line 3: inputs.x is not set", "sms.zh-CN.txt 第 3 行：inputs.x 没有值"),
        ("Known are bank, contact", "可用的有：bank, contact"),
        ("Add `inputs.x: {example: …}` under variables", "请在 variables 下添加 `inputs.x: {example: …}`"),
        ("Call macros on their own: {{ button(…) }}", "宏须单独调用：{{ button(…) }}"),
    ],
)
def test_a_templates_mistake_is_said_in_the_readers_language(text: str, told: str) -> None:
    assert say_problem("zh-CN", text) == told
    assert say_problem("en", text) == text
