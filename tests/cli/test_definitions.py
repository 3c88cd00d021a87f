"""Commands for definition files."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_init_copies_a_pack_that_passes_its_own_check(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    assert run("init", str(folder)).code == 0
    said = run("check", str(folder), "--json")
    assert (said.code, said.json["ok"], said.json["errors"]) == (0, True, [])
    assert said.json["found"]["campaigns"] == 8


def test_init_overwrites_nothing(run: Run, bank: Path) -> None:
    (bank / "campaigns" / "bank.yaml").write_text("mine")
    said = run("init", str(bank))
    assert said.code == 2
    assert "exists already" in said.err
    assert (bank / "campaigns" / "bank.yaml").read_text() == "mine"


def test_a_folder_without_errors_is_counted(run: Run, bank: Path) -> None:
    said = run("check", str(bank))
    assert said.code == 0
    assert "no errors (3 campaigns, 3 templates" in said.out


def test_an_error_names_file_line_column_and_remedy(run: Run, bank: Path) -> None:
    path = bank / "campaigns" / "epidemic-response" / "measures-notice.yaml"
    path.write_text(path.read_text().replace("purpose: service", "purpose: servise", 1))
    line = path.read_text().split("purpose: servise")[0].count("\n") + 1
    said = run("check", str(bank))
    assert said.code == 2
    assert f"campaigns/epidemic-response/measures-notice.yaml:{line}:10:" in said.err
    assert "service" in said.err.split("servise", 1)[1]
    listed = run("check", str(bank), "--json")
    assert listed.code == 2
    first = listed.json["errors"][0]
    assert (first["line"], first["column"]) == (line, 10)
    assert first["remedy"]


def test_a_check_writes_nothing(run: Run, bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bank)
    assert run("check").code == 0
    assert not (tmp_path / "data").exists()


def test_a_folder_that_is_none_is_told_how_to_begin(run: Run, tmp_path: Path) -> None:
    said = run("check", str(tmp_path))
    assert said.code == 2
    assert "notifier init" in said.err


def test_apply_prints_the_difference_first_and_is_idempotent(run_on_servers: Run, bank: Path) -> None:
    dry = run_on_servers("apply", str(bank), "--dry-run")
    assert dry.code == 0
    assert "+ added   campaign  measures-notice" in dry.out
    assert "Applied" not in dry.err
    first = run_on_servers("apply", str(bank), "--yes")
    assert (first.code, first.out) == (0, dry.out)
    again = run_on_servers("apply", str(bank), "--yes", "--json")
    assert (again.code, again.json["changes"]) == (0, [])


def test_apply_shows_the_lines_that_changed(applied: Run, bank: Path) -> None:
    path = bank / "campaigns" / "bank.yaml"
    path.write_text(
        path.read_text().replace('hotline: "95XXX"', 'hotline: "95YYY"').replace("hotline: 95XXX", "hotline: 95YYY")
    )
    said = applied("apply", str(bank), "--dry-run")
    assert "~ changed bank" in said.out
    assert "-hotline: 95XXX" in said.out
    assert "+hotline: 95YYY" in said.out


def test_what_its_file_no_longer_defines_is_retired(applied: Run, bank: Path) -> None:
    (bank / "campaigns" / "epidemic-response" / "branch-closure-alert.yaml").unlink()
    assert "- retired campaign  branch-closure-alert" in applied("apply", str(bank), "--yes").out
    assert "branch-closure-alert" not in applied("campaign", "list").out


def test_apply_without_a_terminal_wants_yes(run_on_servers: Run, bank: Path) -> None:
    said = run_on_servers("apply", str(bank))
    assert said.code == 2
    assert "--yes" in said.err
    assert run_on_servers("apply", str(bank), "--dry-run", "--json").json["changes"]


def test_apply_refuses_a_folder_with_errors(run_on_servers: Run, bank: Path) -> None:
    (bank / "campaigns" / "epidemic-response" / "broken.yaml").write_text("campaign: [")
    said = run_on_servers("apply", str(bank), "--yes")
    assert said.code == 2
    assert "broken.yaml:1:" in said.err


@pytest.mark.parametrize("kind", ["bank", "account", "survey", "template", "campaign"])
def test_every_kind_has_a_schema(run: Run, kind: str) -> None:
    said = run("schema", kind)
    assert said.json["$id"] == f"urn:notifier:{kind}"


def test_a_preview_shows_the_message_without_any_server(run: Run, bank: Path, tmp_path: Path) -> None:
    said = run("preview", "branch-closure-alert", "--dir", str(bank), "--channel", "sms", "--locale", "en")
    assert said.code == 0
    assert said.out.startswith("── warn · sms · en, 2 parts")
    assert "Riverside Bank: " in said.out
    html = tmp_path / "mail.html"
    assert run("preview", "monthly-satisfaction", "--dir", str(bank), "--html", str(html)).code == 0
    assert "<html" in html.read_text()


def test_a_preview_takes_given_inputs(run: Run, bank: Path) -> None:
    said = run(
        "preview", "branch-closure-alert", "--dir", str(bank), "--step", "warn", "--json",
        "-i", "branch_name.en=Bund branch", "-i", "branch_name.zh-CN=外滩支行", "--locale", "en",
    )  # fmt: skip
    assert {one["channel"] for one in said.json} == {"sms", "email"}
    assert all("Bund branch" in one["content"]["text"] for one in said.json)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("nothing-such",), "there is no campaign"),
        (("measures-notice", "--step", "nope"), "there is no `nope`"),
        (("measures-notice", "-i", "nope=1"), "is not an input"),
        (("measures-notice", "-i", "nope"), "NAME=VALUE"),
        (("monthly-satisfaction", "--channel", "social"), "goes by"),
    ],
)
def test_a_preview_says_what_it_cannot_show(run: Run, bank: Path, arguments: tuple[str, ...], word: str) -> None:
    said = run("preview", *arguments, "--dir", str(bank))
    assert said.code in {1, 2}
    assert word in said.err


def test_a_preview_for_a_contact_uses_their_values(applied: Run, bank: Path, contacts_file: Path) -> None:
    applied("contacts", "import", str(contacts_file), "--map", "手机=phone")
    shown = applied("preview", "monthly-satisfaction", "--dir", str(bank), "--contact", "1", "--channel", "email")
    assert "王芳" in shown.out
    assert applied("preview", "monthly-satisfaction", "--dir", str(bank), "--contact", "99").code == 1
