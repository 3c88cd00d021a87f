"""Segments by page and by API: built, counted, kept as versions."""

import asyncio
import re

import httpx
import pytest

from notifier.planning.segments import read_text
from notifier.settings import Settings
from notifier.store.audience import Fragment
from notifier.store.database import Database
from notifier.store.segments import count_meant
from tests.builders import add_contact, fetch
from tests.web.rooms import add_user, browser, form_token, key_headers, log_in, running_app

FIELDS = {
    "key": "north",
    "title.zh-CN": "北区",
    "title.en": "North",
    "join": "all",
    "g0.join": "all",
    "g0.r0.what": "attribute",
    "g0.r0.subject": "city",
    "g0.r0.operator": "in",
    "g0.r0.value": "Shanghai, Suzhou",
    "base": "0",
}
RULE = {"attribute": "city", "in": ["Shanghai", "Suzhou"]}


async def post(visitor: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """A form of the segments' pages."""
    token = await form_token(visitor, "/proof-readers")
    headers = {"hx-request": "true"} if path in {"/segments/count", "/segments/build"} else {}
    return await visitor.post(path, data={"form_token": token, **FIELDS, **fields}, headers=headers)


async def cities(database: Database, settings: Settings) -> None:
    """Three contacts in two cities."""
    for number, city in enumerate(("Shanghai", "Shanghai", "Suzhou")):
        await add_contact(database, settings, f"s{number}", name=f"Name {number}", attributes={"city": city, "age": 40})


async def versions(database: Database, key: str = "north") -> list[tuple[object, ...]]:
    """(version, file, author) of a segment."""
    return await fetch(
        database,
        """
        SELECT d.version, d.file, u.login FROM notifier.definitions d LEFT JOIN notifier.users u ON u.id = d.author_id
        WHERE d.kind = 'segment' AND d.key = $1 ORDER BY d.version
        """,
        key,
    )


# ── building ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_segment_is_built_saved_and_shown(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await cities(database, settings)
    assert (await visitor.get("/segments/new")).status_code == 200
    answer = await post(visitor, "/segments")
    assert (answer.status_code, answer.headers["location"]) == (303, "/segments/north?done=saved")
    page = (await visitor.get("/segments/north?done=saved")).text
    assert "city is one of Shanghai or Suzhou" in page
    assert re.search(r'class="big">3 ', page)
    assert "Name 0" in page
    assert "Saved." in page
    assert await versions(database) == [(1, "", "lin")]
    audit = await fetch(database, "SELECT actor, detail -> 'audience' FROM notifier.audit WHERE act = 'segment.added'")
    assert audit == [("lin", RULE)]
    assert "North" in (await visitor.get("/segments")).text
    assert "3" in (await visitor.get("/segments/north/size")).text


async def test_the_count_follows_what_is_typed(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await cities(database, settings)
    part = (await post(visitor, "/segments/count", **{"g0.r0.value": "Suzhou"})).text
    assert re.search(r'class="big">1 ', part)
    assert "Name 2" in part
    part = (await post(visitor, "/segments/count", **{"g0.r0.value": ""})).text
    assert "Not counted yet" in part
    assert "is not filled in" in part
    assert "g0.r0" not in part
    assert await versions(database) == []


async def test_attributes_and_values_are_those_that_exist(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await cities(database, settings)
    part = (await post(visitor, "/segments/build", act="update")).text
    assert '<option value="city" selected>' in part
    assert '<option value="age">' in part
    assert '<option value="Suzhou"></option>' in part


async def test_buttons_work_with_and_without_scripts(visitor: httpx.AsyncClient) -> None:
    part = (await post(visitor, "/segments/build", act="add-row:0")).text
    assert "g0.r1.what" in part
    assert "<html" not in part
    token = await form_token(visitor, "/proof-readers")
    page = await visitor.post("/segments/build", data={"form_token": token, **FIELDS, "act": "add-group"})
    assert page.status_code == 200
    assert "g1.r0.what" in page.text
    assert 'value="North"' in page.text
    assert "<html" in page.text


async def test_a_row_of_another_kind_begins_anew(visitor: httpx.AsyncClient) -> None:
    part = (await post(visitor, "/segments/build", **{"g0.r0.what": "list", "g0.r0.was": "attribute"})).text
    assert "Shanghai, Suzhou" not in part


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"key": "North!"}, "small letters"),
        ({"key": "new"}, "small letters"),
        ({"title.en": ""}, "short name"),
        ({"g0.r0.subject": ""}, "Choose an attribute"),
        ({"g0.r0.what": "received", "g0.r0.subject": "campaign:nothing", "g0.r0.days": "3"}, "nothing"),
        ({"g0.r0.operator": "above", "g0.r0.value": "old"}, "compares numbers"),
    ],
)
async def test_what_is_wrong_is_said_and_what_was_typed_stays(
    visitor: httpx.AsyncClient, database: Database, fields: dict[str, str], said: str
) -> None:
    answer = await post(visitor, "/segments", **fields)
    assert answer.status_code == 422
    assert said in answer.text
    assert "北区" in answer.text
    assert await versions(database) == []


async def test_errors_are_told_in_chinese_too(visitor: httpx.AsyncClient) -> None:
    visitor.cookies.set("notifier_language", "zh-CN")
    part = (await post(visitor, "/segments/count", **{"g0.r0.value": ""})).text
    assert "尚未填写。请填写值" in part


# ── versions ──────────────────────────────────────────────────────────────────────────────────────


async def test_each_save_is_a_version_and_an_old_one_can_come_back(
    visitor: httpx.AsyncClient, database: Database
) -> None:
    await post(visitor, "/segments")
    await post(visitor, "/segments/north", base="1")
    assert len(await versions(database)) == 1, "nothing differs"
    await post(visitor, "/segments/north", base="1", **{"g0.r0.value": "Suzhou"})
    assert len(await versions(database)) == 2
    token = await form_token(visitor, "/segments/north")
    answer = await visitor.post("/segments/north/restore?version=1", data={"form_token": token})
    assert answer.headers["location"] == "/segments/north?done=restored"
    assert "Shanghai or Suzhou" in (await visitor.get("/segments/north")).text
    assert [number for number, _, _ in await versions(database)] == [1, 2, 3]


async def test_who_saves_over_a_newer_version_is_told(visitor: httpx.AsyncClient, database: Database) -> None:
    await post(visitor, "/segments")
    await post(visitor, "/segments/north", base="1", **{"g0.r0.value": "Suzhou"})
    answer = await post(visitor, "/segments/north", base="1", **{"g0.r0.value": "Nanjing"})
    assert (answer.status_code, "version 2 meanwhile" in answer.text) == (409, True)
    assert "Nanjing" in answer.text
    assert len(await versions(database)) == 2


async def test_a_key_is_taken_once_also_side_by_side(visitor: httpx.AsyncClient, database: Database) -> None:
    token = await form_token(visitor, "/proof-readers")
    data = [{"form_token": token, **FIELDS, "g0.r0.value": city} for city in ("Shanghai", "Suzhou")]
    answers = await asyncio.gather(*(visitor.post("/segments", data=one) for one in data))
    assert sorted(answer.status_code for answer in answers) == [303, 409]
    assert len(await versions(database)) == 1


async def test_what_a_file_manages_is_shown_and_not_changed(visitor: httpx.AsyncClient, database: Database) -> None:
    page = (await visitor.get("/segments/shanghai-customers")).text
    assert "campaigns/segments/shanghai-customers.yaml" in page
    assert "segment-form" not in page
    assert "attribute: city" in page
    answer = await post(visitor, "/segments/shanghai-customers", base="1")
    assert answer.status_code == 409
    token = await form_token(visitor, "/proof-readers")
    gone = await visitor.post("/segments/shanghai-customers/retire", data={"form_token": token})
    assert gone.status_code == 409
    assert len(await versions(database, "shanghai-customers")) == 1


async def test_a_copy_of_a_files_segment_can_be_edited(visitor: httpx.AsyncClient) -> None:
    page = (await visitor.get("/segments/new?copy=shanghai-customers")).text
    assert "segment-form" in page
    assert 'value="Shanghai"' in page
    assert 'name="base" value="0"' in page


async def test_a_rule_too_deep_for_rows_is_edited_as_yaml(visitor: httpx.AsyncClient, database: Database) -> None:
    headers = await key_headers(database)
    deep = {"all": [{"kind": "customer"}, {"any": [{"list": "a"}, {"all": [{"list": "b"}, {"list": "c"}]}]}]}
    put = await visitor.put(
        "/api/v1/segments/deep", json={"title": {"zh-CN": "深", "en": "Deep"}, "audience": deep}, headers=headers
    )
    assert put.status_code == 201
    page = (await visitor.get("/segments/deep")).text
    assert "<textarea" in page
    assert "on the list b; and on the list c" in page
    token = await form_token(visitor, "/segments/deep")
    text = "segment: deep\ntitle: {zh-CN: 深, en: Deep}\naudience: {list: other}\n"
    saved = await visitor.post("/segments/deep", data={"form_token": token, "yaml": text, "base": "1"})
    assert saved.status_code == 303
    for wrong in ("segment: [", "segment: deep\n", "segment: other\ntitle: x\naudience: {list: a}\n"):
        answer = await visitor.post("/segments/deep", data={"form_token": token, "yaml": wrong, "base": "2"})
        assert answer.status_code == 422


async def test_the_yaml_is_what_a_folder_would_hold(visitor: httpx.AsyncClient) -> None:
    await post(visitor, "/segments")
    answer = await visitor.get("/segments/north/yaml")
    assert 'filename="north.yaml"' in answer.headers["content-disposition"]
    assert answer.text.startswith("segment: north\n")
    assert read_text(answer.text, key="north").title.texts == {"zh-CN": "北区", "en": "North"}


async def test_a_retired_segment_is_listed_no_more(visitor: httpx.AsyncClient, database: Database) -> None:
    await post(visitor, "/segments")
    token = await form_token(visitor, "/segments/north")
    await visitor.post("/segments/north/retire", data={"form_token": token})
    assert "North" not in (await visitor.get("/segments")).text
    assert (await visitor.get("/segments/north")).status_code == 404
    acts = await fetch(database, "SELECT act FROM notifier.audit WHERE subject = 'segment:north' ORDER BY id")
    assert acts == [("segment.added",), ("segment.retired",)]


# ── attacks ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value", ["'; DROP TABLE notifier.contacts; --", "x') OR 1=1 --", "%", "\\", "$1", "<script>x</script>"]
)
async def test_a_value_is_only_ever_a_value(
    visitor: httpx.AsyncClient, database: Database, settings: Settings, value: str
) -> None:
    await cities(database, settings)
    for place in ("g0.r0.value", "g0.r0.subject"):
        for operator in ("is", "in", "contains", "present"):
            part = await post(visitor, "/segments/count", **{place: value, "g0.r0.operator": operator})
            assert part.status_code == 200
            assert "<script>" not in part.text
    assert await fetch(database, "SELECT count(*)::int FROM notifier.contacts WHERE external_id LIKE 's%'") == [(3,)]


async def test_a_hundred_conditions_are_counted_and_one_more_refused(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await cities(database, settings)
    rows = {f"g0.r{n}.{name}": text for n in range(100) for name, text in (("what", "list"), ("value", f"l{n}"))}
    part = await post(visitor, "/segments/count", **{**rows, "g0.join": "any"})
    assert re.search(r'class="big">0 ', part.text)
    more = await post(visitor, "/segments/count", **rows, **{"g0.r100.what": "list", "g0.r100.value": "x"})
    assert "more than 100 conditions" in more.text
    assert (await post(visitor, "/segments", **rows, **{"g0.r100.what": "list"})).status_code == 422


async def test_a_viewer_counts_but_does_not_save(database: Database, settings: Settings) -> None:
    await add_user(database, "vera", role="viewer")
    async with running_app(settings, database) as app, browser(app) as client:
        await log_in(client, "vera")
        token = await form_token(client)
        data = {"form_token": token, **FIELDS}
        assert (await client.post("/segments", data=data)).status_code == 403
        assert (await client.post("/segments/x/retire", data=data)).status_code == 403
        assert (await client.post("/segments/count", data={**data, "form_token": "0"})).status_code == 403


# ── the API ───────────────────────────────────────────────────────────────────────────────────────


async def test_the_api_puts_counts_and_removes(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await cities(database, settings)
    headers = await key_headers(database)
    body = {"title": {"zh-CN": "北区", "en": "North"}, "audience": RULE}
    place = "/api/v1/segments/north"
    first = await visitor.put(place, json=body, headers=headers)
    again = await visitor.put(place, json=body, headers=headers)
    assert (first.status_code, again.status_code, again.json()["version"]) == (201, 200, 1)
    assert (await visitor.get(place, headers=headers)).json()["audience"] == RULE
    listed = (await visitor.get("/api/v1/segments", headers=headers)).json()["items"]
    assert [one["key"] for one in listed] == ["asked-not-answered", "north", "shanghai-customers"]
    counted = await visitor.post("/api/v1/segments/count", json={"audience": RULE}, headers=headers)
    assert counted.json() == {"count": 3, "samples": ["s0", "s1", "s2"]}
    assert (await visitor.delete(place, headers=headers)).status_code == 204
    assert (await visitor.get(place, headers=headers)).status_code == 404
    assert (await visitor.delete("/api/v1/segments/shanghai-customers", headers=headers)).status_code == 409


@pytest.mark.parametrize(
    "audience",
    [
        {"nonsense": 1},
        {"kind": "king"},
        {"all": []},
        {"input": "branch", "is": "all"},
        {"attribute": "a", "above": "b"},
        {"received": {"campaign": "nothing"}},
        {"any": [{"list": f"l{n}"} for n in range(101)]},
    ],
)
async def test_a_wrong_rule_is_refused_with_words(
    visitor: httpx.AsyncClient, database: Database, audience: dict[str, object]
) -> None:
    headers = await key_headers(database)
    body = {"title": {"zh-CN": "x", "en": "x"}, "audience": audience}
    answer = await visitor.put("/api/v1/segments/x", json=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["detail"]
    assert await versions(database, "x") == []


@pytest.mark.parametrize("key", ["New", "a b", "x" * 64, "%2e"])
async def test_a_key_that_is_none_is_refused(visitor: httpx.AsyncClient, database: Database, key: str) -> None:
    headers = await key_headers(database)
    body = {"title": {"zh-CN": "x", "en": "x"}, "audience": RULE}
    assert (await visitor.put(f"/api/v1/segments/{key}", json=body, headers=headers)).status_code in {404, 422}


async def test_a_count_that_takes_too_long_is_given_up(database: Database, settings: Settings) -> None:
    await cities(database, settings)
    async with database.transaction() as tx:
        counted = await count_meant(tx, Fragment("pg_sleep(5) IS NOT NULL", ()))
        assert (counted.count, counted.samples) == (None, ())
        assert await tx.fetchval("SELECT 1") == 1


async def test_a_page_asks_for_a_late_count_by_itself(
    visitor: httpx.AsyncClient, database: Database, settings: Settings
) -> None:
    await post(visitor, "/segments")
    assert 'hx-trigger="input from' in (await visitor.get("/segments/north")).text
    part = (await visitor.get("/segments/shanghai-customers/size?samples=true")).text
    assert re.search(r'class="big">0 ', part)
    assert "customers; and city is Shanghai" in part
