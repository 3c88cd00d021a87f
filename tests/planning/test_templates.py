"""Templates in the editor: what is kept is checked, on record, and never over somebody else's words."""

import asyncio
import io
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from notifier.domain.channel import Channel, EmailContent, SmsContent
from notifier.domain.contact import Contact
from notifier.domain.errors import Conflict, DefinitionErrors, InputError
from notifier.domain.person import Person, Role
from notifier.domain.spec import bank_from_spec, template_from_spec
from notifier.domain.template import Bank
from notifier.planning.apply import apply_definitions
from notifier.planning.definitions.folder import load_definitions
from notifier.planning.templates.draft import TemplateDraft, draft_of, layouts_of, read_draft
from notifier.planning.templates.keep import (
    EditedMeanwhile,
    ManagedByFile,
    copy_template,
    restore_template,
    save_template,
    take_over,
)
from notifier.planning.templates.look import Looked, Sample, look_at
from notifier.planning.templates.versions import as_unified, compare_specs, export_template
from notifier.store import definitions as stored
from notifier.store.database import Database
from tests.builders import FILES, campaign, define, execute, fetch, write_folder

LIN = Person(name="lin", user_id=None, role=Role.AUTHOR)
LAYOUT = "<!doctype html><html><head><title>x</title></head><body>{% block content %}{% endblock %}</body></html>"
WORDED = {
    "templates/_layouts/email.html": LAYOUT,
    "templates/note/template.yaml": FILES["templates/note/template.yaml"].replace(", optional: true", ""),
}


@pytest.fixture
async def mine(database: Database, tmp_path: Path) -> Database:
    """A campaign `news` whose template `note` the console manages, in version 2."""
    await define(database, tmp_path, campaign(), **WORDED)
    async with database.transaction() as tx:
        assert await take_over(tx, "note", team_id=1, by=LIN) == 2
    return database


async def _draft(database: Database, key: str = "note") -> TemplateDraft:
    async with database.transaction() as tx:
        spec = (await stored.find_latest(tx, 1, "template", key)).spec
    return draft_of(template_from_spec(spec), ("zh-CN", "en"))


def _with(draft: TemplateDraft, files: Mapping[str, str]) -> TemplateDraft:
    return replace(draft, files={**draft.files, **files})


async def _bank(database: Database) -> Bank:
    async with database.transaction() as tx:
        return bank_from_spec((await stored.find_latest(tx, 1, "bank", "bank")).spec)


async def _save(database: Database, draft: TemplateDraft, *, base: int = 2, over: int = 0) -> int:
    return (await save_template(database, draft, team_id=1, base=base, by=LIN, over=over)).version


async def _look(database: Database, files: Mapping[str, str], file: str, sample: Sample | None = None) -> Looked:
    draft = _with(await _draft(database), files)
    return await look_at(draft, {}, await _bank(database), file=file, sample=sample or Sample())


# ── keeping ───────────────────────────────────────────────────────────────────────────────────────


async def test_a_save_is_a_new_version_with_its_author_on_record(mine: Database) -> None:
    await execute(
        mine,
        "INSERT INTO notifier.users (team_id, login, name, role, password_hash) "
        "VALUES (1, 'lin', '林晓', 'author', 'x')",
    )
    by = replace(LIN, user_id=(await fetch(mine, "SELECT id FROM notifier.users"))[0][0])
    draft = _with(await _draft(mine), {"sms.en.txt": "{{ greeting }} news"})
    saved = await save_template(mine, draft, team_id=1, base=2, by=by)
    assert (saved.version, saved.is_new) == (3, True)
    async with mine.transaction() as tx:
        newest, *_ = await stored.list_versions(tx, 1, "template", "note")
    assert (newest.version, newest.author, newest.file) == (3, "林晓", "")
    rows = await fetch(mine, "SELECT actor, subject, detail FROM notifier.audit WHERE act = 'template.saved'")
    assert rows == [("lin", "template:note", {"version": 3, "from": 2})]


async def test_saving_what_is_there_already_makes_no_version(mine: Database) -> None:
    saved = await save_template(mine, await _draft(mine), team_id=1, base=2, by=LIN)
    assert (saved.version, saved.is_new) == (2, False)
    assert await fetch(mine, "SELECT count(*) FROM notifier.audit WHERE act = 'template.saved'") == [(0,)]


async def test_layouts_stay_with_the_version(mine: Database) -> None:
    await _save(mine, _with(await _draft(mine), {"sms.en.txt": "hello"}))
    async with mine.transaction() as tx:
        spec = (await stored.find_latest(tx, 1, "template", "note")).spec
    assert spec["files"]["_layouts/email.html"] == LAYOUT
    assert "_layouts/email.html" not in (await _draft(mine)).files


async def test_what_a_file_manages_is_not_saved_over(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign())
    with pytest.raises(ManagedByFile, match=r"templates/note/template\.yaml manages"):
        await _save(database, _with(await _draft(database), {"sms.en.txt": "x"}), base=1)


async def test_two_editors_at_once_the_second_sees_the_first_ones_words(mine: Database) -> None:
    draft = await _draft(mine)
    await _save(mine, _with(draft, {"sms.en.txt": "the first"}))
    with pytest.raises(EditedMeanwhile) as told:
        await _save(mine, _with(draft, {"sms.en.txt": "the second"}))
    assert told.value.newest == 3
    assert "-the first\n+the second" in as_unified(told.value.differences)
    assert await _save(mine, _with(draft, {"sms.en.txt": "the second"}), over=3) == 4


async def test_of_two_saves_at_the_same_moment_one_is_told(mine: Database) -> None:
    draft = await _draft(mine)
    saves = [_save(mine, _with(draft, {"sms.en.txt": text})) for text in ("one", "two")]
    found = await asyncio.gather(*saves, return_exceptions=True)
    assert sorted(type(one).__name__ for one in found) == ["EditedMeanwhile", "int"]
    assert await fetch(mine, "SELECT max(version) FROM notifier.definitions WHERE key = 'note'") == [(3,)]


# ── checks ────────────────────────────────────────────────────────────────────────────────────────


async def _errors(database: Database, draft: TemplateDraft) -> list[str]:
    with pytest.raises(DefinitionErrors) as told:
        await _save(database, draft)
    assert await fetch(database, "SELECT max(version) FROM notifier.definitions WHERE key = 'note'") == [(2,)]
    return [str(error) for error in told.value.errors]


async def test_an_error_names_file_line_and_remedy(mine: Database) -> None:
    draft = _with(await _draft(mine), {"sms.en.txt": "fine\n{{ inputs.wrod }}"})
    errors = await _errors(mine, draft)
    assert errors[-1].startswith("templates/note/sms.en.txt:2:4: `inputs.wrod` is not declared. Add")


async def test_errors_of_meta_and_subject_stand_at_their_own_fields(mine: Database) -> None:
    draft = await _draft(mine)
    wrong = replace(draft, meta=draft.meta + "porpoise: service\n")
    assert any("template.yaml:4:1: `porpoise` is not a key here" in error for error in await _errors(mine, wrong))
    wrong = replace(draft, subject={**draft.subject, "en": "{{ inputs.wrod }}"})
    assert any(error.startswith("templates/note/subject.en") for error in await _errors(mine, wrong))
    wrong = replace(draft, title={"zh-CN": "通知", "en": ""})
    assert any(error.startswith("templates/note/title: the text in en") for error in await _errors(mine, wrong))
    wrong = replace(draft, meta="title: again\n" + draft.meta)
    assert any("`title` has a field of its own" in error for error in await _errors(mine, wrong))
    wrong = replace(draft, meta="- a list")
    assert any("must be a mapping" in error for error in await _errors(mine, wrong))


async def test_a_version_may_not_break_the_campaigns_that_send_it(mine: Database) -> None:
    draft = await _draft(mine)
    files = {name: text for name, text in draft.files.items() if not name.startswith("email.en")}
    errors = await _errors(mine, replace(draft, files=files))
    assert any("campaigns/news.yaml" in error and "has no email.en.html" in error for error in errors)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd.txt",
        "_layouts/email.html",
        "a/b.txt",
        "email.en.exe",
        ".hidden.txt",
        "x\n.txt",
        "",
        "é.txt",
        "a" * 99 + ".txt",
    ],
)
async def test_a_file_name_that_is_none_is_refused(mine: Database, name: str) -> None:
    assert any(
        "is no name for a file" in error for error in await _errors(mine, _with(await _draft(mine), {name: "x"}))
    )


async def test_texts_of_a_megabyte_are_refused_at_once(mine: Database) -> None:
    draft = await _draft(mine)
    assert any("larger than" in error for error in await _errors(mine, _with(draft, {"sms.en.txt": "x" * 1_000_000})))
    assert any(
        "larger than" in error for error in await _errors(mine, replace(draft, meta="# " + "x" * 1_000_001 + "\na: b"))
    )
    many = {f"part-{number}.txt": "x" for number in range(61)}
    assert any("more than 60 files" in error for error in await _errors(mine, _with(draft, many)))


# ── attacks ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ greeting.__init__.__globals__ }}",
        "{{ greeting['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{% for i in range(10**9) %}x{% endfor %}",
        "{% set x = 'a' * 1000000000 %}{{ x }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% include '/etc/passwd' %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% include 'sms.en.txt' %}",
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{% for a in inputs.word %}" * 40 + "{% endfor %}" * 40,
    ],
)
async def test_a_way_out_of_the_sandbox_is_refused_and_shows_nothing(mine: Database, text: str) -> None:
    looked = await _look(mine, {"sms.en.txt": text}, "sms.en.txt")
    assert looked.errors
    assert looked.content is None
    assert "root:" not in looked.problem
    assert await _errors(mine, _with(await _draft(mine), {"sms.en.txt": text}))


async def test_a_template_that_eats_memory_dies_alone(mine: Database) -> None:
    lines = (
        "{% for a in ["
        + "1," * 49
        + "1] %}{% for b in ["
        + "1," * 49
        + "1] %}{{ '"
        + "x" * 900
        + "' }}{% endfor %}{% endfor %}"
    )
    looked = await _look(mine, {"sms.en.txt": lines * 60}, "sms.en.txt")
    assert looked.content is None
    assert looked.errors


# ── looking ───────────────────────────────────────────────────────────────────────────────────────


async def test_unsaved_words_are_shown_with_the_examples(mine: Database) -> None:
    looked = await _look(mine, {"sms.en.txt": "unsaved {{ inputs.word }}"}, "sms.en.txt")
    assert isinstance(looked.content, SmsContent)
    assert looked.content.text == "Riverside Bank: unsaved 你好"
    assert looked.count is not None
    assert (looked.count.encoding, looked.count.parts, looked.count.units_left) == ("UCS-2", 1, 70 - 26)
    assert looked.errors == ()
    assert await fetch(mine, "SELECT max(version) FROM notifier.definitions WHERE key = 'note'") == [(2,)]


async def test_a_mail_is_shown_with_a_contacts_own_values_or_without_any(mine: Database) -> None:
    who = Contact(external_id="c1", name="欧阳娜娜 & <b>Sons</b>", locale="en")
    looked = await _look(mine, {}, "email.en.html", Sample(contact=who))
    assert isinstance(looked.content, EmailContent)
    assert "Dear 欧阳娜娜 &amp; &lt;b&gt;Sons&lt;/b&gt;," in looked.content.html
    looked = await _look(mine, {}, "email.en.html", Sample(sparse=True))
    assert isinstance(looked.content, EmailContent)
    assert "Dear customer," in looked.content.html


async def test_any_other_file_shows_the_first_text_of_its_language(mine: Database) -> None:
    assert (await _look(mine, {}, "template.yaml")).channel is Channel.EMAIL
    assert (await _look(mine, {"part.en.txt": "x"}, "part.en.txt")).locale == "en"


async def test_links_elsewhere_and_pictures_without_words_are_remarked(mine: Database) -> None:
    html = '<p>x</p><img src="https://www.riverside-bank.example/a.png"><a href="https://evil.example/">a</a>'
    looked = await _look(mine, {"email.en.html": html}, "email.en.html")
    said = " ".join(str(remark) for remark in looked.remarks)
    assert "picture without words" in said
    assert "evil.example" in said
    assert looked.errors == ()


# ── versions ──────────────────────────────────────────────────────────────────────────────────────


async def test_restoring_makes_a_new_version_equal_to_the_old_one(mine: Database) -> None:
    await _save(mine, _with(await _draft(mine), {"sms.en.txt": "a mistake"}))
    saved = await restore_template(mine, "note", 1, team_id=1, base=3, by=LIN)
    assert saved.version == 4
    rows = await fetch(mine, "SELECT version, hash FROM notifier.definitions WHERE key = 'note' ORDER BY 1")
    assert rows[3][1] == rows[0][1] != rows[2][1]
    assert await fetch(mine, "SELECT detail FROM notifier.audit WHERE act = 'template.restored'") == [
        ({"version": 4, "from": 3, "restored": 1},)
    ]


async def test_a_version_that_fails_todays_check_is_not_restored(mine: Database) -> None:
    await execute(
        mine,
        "UPDATE notifier.definitions SET spec = jsonb_set(spec, '{files,sms.en.txt}', '\"{{ gone.away }}\"') "
        "WHERE key = 'note' AND version = 1",
    )
    with pytest.raises(DefinitionErrors, match="`gone` is unknown"):
        await restore_template(mine, "note", 1, team_id=1, base=2, by=LIN)


async def test_a_difference_shows_lines_and_files(mine: Database) -> None:
    async with mine.transaction() as tx:
        old = (await stored.find_latest(tx, 1, "template", "note")).spec
    files = {**old["files"], "sms.en.txt": "one\ntwo", "part.txt": "new"}
    del files["social.en.txt"]
    found = compare_specs(old, {**old, "files": files})
    assert [(one.name, one.act, one.added, one.removed) for one in found] == [
        ("part.txt", "added", 1, 0),
        ("sms.en.txt", "changed", 2, 1),
        ("social.en.txt", "removed", 0, 1),
    ]
    assert compare_specs(old, old) == ()
    turned = {"files": dict(reversed(old["files"].items())), "template": dict(reversed(old["template"].items()))}
    assert compare_specs(old, turned) == ()


async def test_reading_a_draft_back_changes_nothing(mine: Database) -> None:
    async with mine.transaction() as tx:
        newest = await stored.find_latest(tx, 1, "template", "note")
    template = template_from_spec(newest.spec)
    entry, _ = read_draft(draft_of(template, ("zh-CN", "en")), layouts_of(template))
    assert entry is not None
    assert entry.hash == newest.hash


# ── taking over, copying, exporting ───────────────────────────────────────────────────────────────


async def test_taking_over_leaves_the_words_and_drops_the_file(mine: Database) -> None:
    rows = await fetch(mine, "SELECT version, file, hash FROM notifier.definitions WHERE key = 'note' ORDER BY 1")
    assert [row[:2] for row in rows] == [(1, "templates/note/template.yaml"), (2, "")]
    assert rows[0][2] == rows[1][2]
    async with mine.transaction() as tx:
        with pytest.raises(Conflict, match="edited here already"):
            await take_over(tx, "note", team_id=1, by=LIN)


async def test_a_copy_has_its_own_key_and_no_file(database: Database, tmp_path: Path) -> None:
    await define(database, tmp_path, campaign())
    async with database.transaction() as tx:
        assert await copy_template(tx, "note", to="note-2", team_id=1, by=LIN) == 1
        for key in ("note", "note-2", "No Key", ""):
            with pytest.raises(InputError):
                await copy_template(tx, "note", to=key, team_id=1, by=LIN)
    assert (await _draft(database, "note-2")).files == (await _draft(database)).files
    assert await apply_definitions(database, load_definitions(tmp_path)) == []


async def test_an_export_put_into_the_folder_is_the_same_template(mine: Database, tmp_path: Path) -> None:
    await _save(mine, _with(await _draft(mine), {"sms.en.txt": "written in the console"}))
    async with mine.transaction() as tx:
        newest = await stored.find_latest(tx, 1, "template", "note")
    folder = write_folder(tmp_path / "git", {"templates/_layouts/email.html": LAYOUT})
    packed = export_template(template_from_spec(newest.spec))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert "note/template.yaml" in archive.namelist()
        assert not any("_layouts" in name for name in archive.namelist())
        archive.extractall(folder / "templates")
    assert load_definitions(folder).templates["note"].hash == newest.hash
    assert packed == export_template(template_from_spec(newest.spec))
    assert set(FILES) >= {f"templates/{name}" for name in zipfile.ZipFile(io.BytesIO(packed)).namelist()}
