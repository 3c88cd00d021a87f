"""An import takes what is right, says what is wrong, and never half of anything in silence."""

import csv
import io
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pytest

from notifier.domain.channel import Channel
from notifier.domain.contact import AttributeValue, ConsentAct, Contact, ContactKind
from notifier.domain.errors import InputError
from notifier.domain.links import address_key
from notifier.domain.template import Bank
from notifier.domain.text import Localized
from notifier.planning.contact_export import export_contacts
from notifier.planning.contact_import import ImportOptions, ImportReport, import_contacts
from notifier.store.contacts import get_contact, list_consents, list_contacts, list_standing
from notifier.store.database import Database

KEY = b"k" * 32
WORD = Localized({"en": "x"})
BANK = Bank(
    name=WORD,
    short_name=WORD,
    hotline="95XXX",
    website="",
    app_name=WORD,
    sms_signature=WORD,
    sms_opt_out=WORD,
    footer=WORD,
    greeting=WORD,
    greeting_unnamed=WORD,
    sender_email="a@example.com",
    reply_to="",
    link_domains=(),
)


class Importer:
    """Writes a file and imports it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self._database, self.folder = database, folder
        self.progress: list[tuple[int, float]] = []

    async def __call__(
        self, data: str | bytes, name: str = "people.csv", options: ImportOptions | None = None
    ) -> ImportReport:
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return await import_contacts(
            self._database,
            path,
            options or ImportOptions(),
            bank=BANK,
            address_hash_key=KEY,
            progress=lambda rows, share: self.progress.append((rows, share)),
        )

    async def contact(self, external_id: str) -> Contact | None:
        async with self._database.transaction() as tx:
            stored = await get_contact(tx, 1, external_id)
        return stored.contact if stored else None

    async def all(self) -> list[str]:
        async with self._database.transaction() as tx:
            return [stored.contact.external_id for stored in await list_contacts(tx, 1, limit=1000)]

    async def fetchval(self, statement: str) -> object:
        async with self._database.transaction() as tx:
            found: object = await tx.fetchval(statement)
            return found


@pytest.fixture
def importer(database: Database, tmp_path: Path) -> Importer:
    return Importer(database, tmp_path)


def problems(report: ImportReport) -> list[dict[str, str]]:
    assert report.errors_file
    return list(csv.DictReader(io.StringIO(report.errors_file.read_text("utf-8-sig"))))


FULL = """客户号,姓名,邮箱,手机号,语言,时区,kind,age,vip,code,since,note
C1,王芳,Anna.Li@EXAMPLE.com,13812345678,zh_cn,Asia/Shanghai,customer,41,true,007,2026-01-31,"a, b"
C2,,,+1 (212) 555-0123,en,,员工,40.5,,,,
"""


async def test_columns_are_known_by_their_usual_names_and_others_become_typed_attributes(importer: Importer) -> None:
    report = await importer(FULL)
    assert (report.read, report.added, report.rejected, report.errors_file, report.is_broken) == (2, 2, 0, None, False)
    assert await importer.contact("C1") == Contact(
        external_id="C1",
        name="王芳",
        email="Anna.Li@example.com",
        phone="+8613812345678",
        locale="zh-CN",
        zone="Asia/Shanghai",
        attributes={"age": 41, "vip": True, "code": "007", "since": "2026-01-31", "note": "a, b"},
    )
    assert await importer.contact("C2") == Contact(
        external_id="C2", phone="+12125550123", locale="en", kind=ContactKind.EMPLOYEE, attributes={"age": 40.5}
    )


async def test_addresses_are_found_by_their_key(importer: Importer, database: Database) -> None:
    await importer(FULL)
    sought = address_key(KEY, "sms", "+8613812345678")
    async with database.transaction() as tx:
        found = await tx.fetch(
            "SELECT external_id FROM notifier.contacts c JOIN notifier.addresses a ON a.contact_id = c.id AND a.address_key = $1",
            sought,
        )
    assert [row["external_id"] for row in found] == ["C1"]


@pytest.mark.parametrize(
    "data",
    [
        FULL.encode("utf-8-sig"),
        FULL.encode("gb18030"),
        FULL.replace("\n", "\r\n").encode(),
        FULL.replace("\r", "").replace('"a, b"', "a, b").replace(",", ";").replace("a; b", "a, b").encode(),
    ],
    ids=["BOM", "GB18030", "CRLF", "semicolons"],
)
async def test_the_same_people_come_out_of_every_kind_of_csv(importer: Importer, data: bytes) -> None:
    assert (await importer(data)).added == 2
    found = await importer.contact("C1")
    assert found
    assert (found.name, found.attributes["note"]) == ("王芳", "a, b")


async def test_an_explicit_mapping_wins(importer: Importer) -> None:
    mapping = {"nr": "external_id", "contact": "phone", "id": "-", "name": "attributes.nickname"}
    report = await importer("nr,contact,id,name\n7,13812345678,x,Bob\n", options=ImportOptions(mapping=mapping))
    assert report.added == 1
    expected = Contact(external_id="7", phone="+8613812345678", attributes={"nickname": "Bob"})
    assert await importer.contact("7") == expected


async def test_a_reimport_updates_what_the_file_speaks_about_and_counts_it(importer: Importer) -> None:
    await importer("id,name,phone,city,age\nA,Ann,13812345678,Bonn,3\nB,Bob,,Ulm,4\n")
    report = await importer("id,phone,city\nA,,Bonn\nB,,Ulm\nC,,\n")
    assert (report.added, report.updated, report.unchanged) == (1, 1, 1)
    found = await importer.contact("A")
    assert found == Contact(external_id="A", name="Ann", attributes={"city": "Bonn", "age": 3})


async def test_consent_is_recorded_with_source_and_date_and_told_twice_is_one_act(
    importer: Importer, database: Database
) -> None:
    text = (
        "id,consent_email,consent_sms_education,consent_date,consent_source\n"
        "A,yes,拒绝,2026-01-31,branch form\nB,是,,,\nC,,,,\n"
    )
    await importer(text)
    report = await importer(text)
    assert report.unchanged == 3
    async with database.transaction() as tx:
        anna = await get_contact(tx, 1, "A")
        assert anna
        email, sms = sorted(await list_consents(tx, anna.id), key=lambda record: record.channel)
        assert await tx.fetchval("SELECT count(*) FROM notifier.consents") == 3
    assert (email.channel, email.topic, email.act, email.source) == ("email", "", ConsentAct.OPT_IN, "branch form")
    assert (sms.topic, sms.act) == ("education", ConsentAct.OPT_OUT)
    assert email.at == datetime(2026, 1, 30, 16, tzinfo=UTC)
    assert email.proof == "people.csv"


@pytest.mark.parametrize(
    ("header", "cell", "said"),
    [
        ("email", "anna", "email"),
        ("email", "a@example.com b@example.com", "SPACE"),
        ("email", "a@example.com\nBcc: b@example.com", "SPACE"),
        ("email", "a@exa mple.com", "SPACE"),
        ("email", "a@-x.com", "email"),
        ("phone", "123456", "too short"),
        ("phone", "1.38E+10", "power of ten"),
        ("phone", "call me", "not one telephone number"),
        ("phone", "13812345678 / 13912345678", "not one telephone number"),
        ("zone", "Asia/Atlantis", "no such time zone"),
        ("locale", "chinese!", "language tag"),
        ("kind", "alien", "no such kind"),
        ("name", "Bob\r\nBcc: x", "line break"),
        ("name", "Bob\u202egnp", "control character"),
        ("consent_email", "perhaps", "neither yes nor no"),
        ("consent_date", "yesterday", "not a date"),
        ("consent_date", "2999-01-01", "future"),
        ("note", "x" * 10_001, "longer than"),
        ("note", "bell\x07", "control character"),
    ],
)
async def test_a_wrong_row_is_rejected_with_its_reason_and_the_rest_goes_on(
    importer: Importer, header: str, cell: str, said: str
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["id", header], ["A", cell], ["B", ""]])
    report = await importer(text.getvalue())
    assert (report.read, report.added, report.rejected) == (2, 1, 1)
    assert await importer.all() == ["B"]
    (problem,) = problems(report)
    assert (problem["row"], problem["external_id"], problem["column"]) == ("2", "A", header)
    assert said in problem["problem"]
    assert problem["remedy"]
    assert "anna" not in problem["problem"]


async def test_every_problem_of_a_row_is_named_at_once(importer: Importer) -> None:
    report = await importer("id,email,phone\n,x,y\n")
    assert [problem["column"] for problem in problems(report)] == ["id", "email", "phone"]
    assert report.rejected == 1


async def test_rows_of_the_wrong_shape_are_rejected(importer: Importer) -> None:
    report = await importer('id,a,b\nA,1\nB,"x"y,2\nC,1,2\n\nD,1,2,3\n')
    assert (report.read, report.added, report.rejected) == (4, 1, 3)
    assert [problem["row"] for problem in problems(report)] == ["2", "3", "6"]


async def test_the_errors_file_holds_no_formula(importer: Importer) -> None:
    report = await importer("id,email\n=cmd|' /C calc'!A0,x\n")
    assert problems(report)[0]["external_id"].startswith("'=cmd")


async def test_of_two_rows_about_one_contact_the_last_counts_and_it_is_said(importer: Importer) -> None:
    report = await importer("id,age\nA,1\nB,2\nA,3\n")
    assert (report.read, report.added, report.duplicates) == (3, 2, 1)
    found = await importer.contact("A")
    assert found
    assert found.attributes == {"age": 3}
    assert problems(report)[0]["problem"] == "comes again in row 4"


@pytest.mark.parametrize(
    ("tail", "said"),
    [
        (b"F,\xff\xff\n", "UTF-8"),
        (b'F,"never closed\n', "never closed"),
        (b"F,\0\n", "NUL"),
        (b"F," + b"x" * (1 << 20) + b"\n", "longer than"),
    ],
    ids=["encoding", "quote", "NUL", "line"],
)
async def test_a_file_that_breaks_leaves_whole_batches_and_says_where(
    importer: Importer, tail: bytes, said: str
) -> None:
    body = "id,age\nA,1\nB,2\nC,3\nD,4\nE,五\n".encode()
    report = await importer(body + b"Y,1\n" * 20_000 + tail, options=ImportOptions(batch_rows=500))
    assert report.is_broken
    assert said in report.problem
    assert "row 20007" in report.problem
    assert report.read == 20_000
    assert report.read == report.added + report.updated + report.unchanged + report.duplicates + report.rejected
    state = await importer.fetchval("SELECT state || ' ' || read_rows FROM notifier.imports")
    assert state == f"broken {report.read}"


async def test_a_batch_that_breaks_leaves_nothing_of_itself(importer: Importer) -> None:
    report = await importer(
        b"id,age\nA,1\nB,\xe4\n".replace(b"A,1", "A,一".encode()), options=ImportOptions(encoding="utf-8")
    )
    assert (report.read, await importer.all()) == (0, [])
    assert "row 3" in report.problem


@pytest.mark.parametrize(
    ("data", "name", "said"),
    [
        (FULL.encode("utf-16"), "a.csv", "UTF-16"),
        (b"", "a.csv", "is empty"),
        (b"name,age\nx,1\n", "a.csv", "no column says who"),
        (b"id,age,age\n", "a.csv", "two columns"),
        (b"id,,x\n", "a.csv", "no name"),
        (b"id,phone,mobile\n", "a.csv", "both say"),
        (b"id," + b",".join(b"c%d" % n for n in range(300)) + b"\n", "a.csv", "301 columns"),
        (b"id,<b>\n", "a.csv", "cannot be the name"),
        (b"\xff\xfe\xfa\x80\x80", "a.csv", "UTF-16"),
        (b"id,\x80\xff\n", "a.csv", "neither UTF-8 nor GB18030"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "a.xls", "old .xls"),
        (b"PK\x03\x04 cut off", "a.xlsx", "no readable spreadsheet"),
    ],
)
async def test_what_cannot_be_read_at_all_is_refused_with_a_remedy(
    importer: Importer, data: bytes, name: str, said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        await importer(data, name)
    assert caught.value.remedy
    assert await importer.fetchval("SELECT count(*) FROM notifier.imports") == 0


async def test_options_that_do_not_fit_the_file_are_refused(importer: Importer, database: Database) -> None:
    with pytest.raises(InputError, match="no column `nr`"):
        await importer("id\nA\n", options=ImportOptions(mapping={"nr": "external_id"}))
    with pytest.raises(InputError, match="no field"):
        await importer("id,x\nA,1\n", options=ImportOptions(mapping={"x": "shoe"}))
    with pytest.raises(InputError, match="not read"):
        await importer("id\nA\n", options=ImportOptions(encoding="latin-1"))
    with pytest.raises(InputError, match="At most 3"):
        await importer("id\nA\n", options=ImportOptions(max_bytes=3))
    with pytest.raises(InputError, match="cannot be opened"):
        await import_contacts(
            database, Path("/nowhere.csv"), ImportOptions(), bank=BANK, address_hash_key=KEY, progress=None
        )


def workbook(*rows: list[object]) -> bytes:
    book, data = openpyxl.Workbook(), io.BytesIO()
    assert book.active
    for row in rows:
        book.active.append(row)
    book.save(data)
    return data.getvalue()


async def test_a_spreadsheet_is_read_like_a_csv(importer: Importer) -> None:
    data = workbook(
        ["id", "手机号", "since", "vip", "age", "note"],
        ["A", 13812345678, date(2026, 1, 31), True, 41.0, None],
        [None, None, None, None, None, None],
        ["B", "12", None, None, None, None],
    )
    report = await importer(data, "people.xlsx")
    assert (report.read, report.added, report.rejected) == (2, 1, 1)
    assert problems(report)[0]["row"] == "4"
    found = await importer.contact("A")
    attributes: dict[str, AttributeValue] = {"since": "2026-01-31", "vip": True, "age": 41}
    assert found == Contact(external_id="A", phone="+8613812345678", attributes=attributes)


async def test_a_spreadsheet_that_unpacks_too_far_is_refused_unread(importer: Importer) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0" * 5_000_000)
    assert len(bomb.getvalue()) < 10_000
    with pytest.raises(InputError, match="unpacks to"):
        await importer(bomb.getvalue(), "a.xlsx", ImportOptions(max_unzipped_bytes=1_000_000))


async def test_a_spreadsheet_damaged_in_the_middle_is_broken(importer: Importer) -> None:
    whole = workbook(["id", "age"], *([f"A{n}", n] for n in range(5000)))
    damaged = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(damaged, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry.filename, data[: len(data) // 2] if "sheet1" in entry.filename else data)
    report = await importer(damaged.getvalue(), "a.xlsx", ImportOptions(batch_rows=100))
    assert report.is_broken
    assert report.read == report.added
    assert await importer.fetchval("SELECT count(*) FROM notifier.contacts") == report.added > 0


async def test_whatever_ends_an_import_early_is_named_in_its_account(importer: Importer, database: Database) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(_rows: int, _share: float) -> None:
        raise Interrupted

    path = importer.folder / "people.csv"
    path.write_text("id\nA\nB\nC\n")
    with pytest.raises(Interrupted):
        await import_contacts(
            database, path, ImportOptions(batch_rows=2), bank=BANK, address_hash_key=KEY, progress=interrupt
        )
    account = "SELECT state || ' ' || problem || ' ' || added FROM notifier.imports WHERE ended_at IS NOT NULL"
    assert await importer.fetchval(account) == "broken Interrupted 2"
    assert await importer.all() == ["A", "B"]


async def test_rows_join_the_list(importer: Importer) -> None:
    await importer("id\nA\nB\n", options=ImportOptions(list_key="visitors"))
    assert await importer.fetchval("SELECT count(*) FROM notifier.list_members") == 2


async def test_progress_is_told_after_every_batch(importer: Importer) -> None:
    await importer("id\nA\nB\nC\n", options=ImportOptions(batch_rows=2))
    assert [rows for rows, _ in importer.progress] == [2, 3]
    assert importer.progress[-1][1] == 1.0


async def test_missing_values_are_made_up_on_demand_and_given_ones_stay(importer: Importer) -> None:
    data = "external_id,age,contact,name\nC00001,47,cellular,Bob\nC00002,33,unknown,\n"
    report = await importer(data, options=ImportOptions(synthesize=True))
    again = await importer(data, options=ImportOptions(synthesize=True))
    assert (report.added, again.unchanged) == (2, 2)
    bob = await importer.contact("C00001")
    assert bob
    assert (bob.name, bob.email, bob.attributes["contact"]) == ("Bob", "c00001@example.com", "cellular")
    assert bob.phone.startswith("+1")
    assert bob.attributes["branch"]


async def test_an_export_is_safe_to_open_and_comes_back_the_same(importer: Importer, database: Database) -> None:
    text = "id,name,phone,note,age\nA,=1+1,+12125550123,@x,-5\nB,王芳,,'quoted,\n"
    await importer(text)
    before = [await importer.contact("A"), await importer.contact("B")]
    exported = b"".join([chunk async for chunk in export_contacts(database, 1)])
    rows = list(csv.DictReader(io.StringIO(exported.decode("utf-8-sig"))))
    assert (rows[0]["name"], rows[0]["phone"], rows[0]["attributes.age"]) == ("'=1+1", "+12125550123", "-5")
    report = await importer(exported)
    assert report.unchanged == 2
    assert [await importer.contact("A"), await importer.contact("B")] == before


async def test_an_export_says_where_consent_stands_and_the_import_reads_it_back(
    importer: Importer, database: Database
) -> None:
    text = (
        "id,consent_email,consent_sms_education,consent_date,consent_source\nA,yes,no,2026-01-31,branch form\nB,,,,\n"
    )
    await importer(text)
    await importer("id,consent_email,consent_date\nA,no,2026-02-01T09:00:00.5+00:00\n")
    async with database.transaction() as tx:
        await tx.execute(
            """
            INSERT INTO notifier.consents (contact_id, channel, topic, act, source, at)
            SELECT id, 'email', 'Free Words', 'opt-in', 'api', now() FROM notifier.contacts
            """
        )
    exported = b"".join([chunk async for chunk in export_contacts(database, 1)])
    ann, bob = csv.DictReader(io.StringIO(exported.decode("utf-8-sig")))
    assert {name: cell for name, cell in ann.items() if name.startswith("consent")} == {
        "consent_email": "no",
        "consent_date_email": "2026-02-01T09:00:00.500000+00:00",
        "consent_source_email": "import",
        "consent_sms_education": "no",
        "consent_date_sms_education": "2026-01-30T16:00:00+00:00",
        "consent_source_sms_education": "branch form",
    }
    assert not any(cell for name, cell in bob.items() if name.startswith("consent"))
    assert (await importer(exported)).unchanged == 2
    async with database.transaction() as tx:
        anna = await get_contact(tx, 1, "A")
        assert anna
        before = (await list_standing(tx, [anna.id]))[anna.id][0], len(await list_consents(tx, anna.id))
        await tx.execute("DELETE FROM notifier.contacts")
    await importer(exported, "again.csv")
    async with database.transaction() as tx:
        anna = await get_contact(tx, 1, "A")
        assert anna
        found = {(r.channel, r.topic): (r.act, r.at, r.source) for r in await list_consents(tx, anna.id)}
    assert before == (before[0], 4)
    assert found[Channel.EMAIL, ""] == (before[0].act, before[0].at, before[0].source)
    assert set(found) == {("email", ""), ("sms", "education")}


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("id,consent_email,consent_date_email\nA,yes,2999-01-01\n", "consent_date_email"),
        ("id,consent_email,consent_source_email\nA,yes,a\x02b\n", "consent_source_email"),
    ],
)
async def test_what_is_wrong_with_one_act_is_said_of_its_own_column(importer: Importer, text: str, column: str) -> None:
    report = await importer(text)
    assert [problem["column"] for problem in problems(report)] == [column]


async def test_a_date_without_its_act_is_refused(importer: Importer) -> None:
    with pytest.raises(InputError, match="consent_date_email_x: tells of an act that no column names") as refused:
        await importer("id,Consent_date_email_x\nA,2026-01-01\n")
    assert "`consent_email_x`" in refused.value.remedy
