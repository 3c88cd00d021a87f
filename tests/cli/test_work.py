"""Commands for contacts, campaigns, users and keys, on real servers."""

from pathlib import Path

import pytest

from tests.cli.conftest import PASSWORD, Run, Said

_ALERT = ("branch-closure-alert", "--example")


@pytest.fixture
def ready(applied: Run, contacts_file: Path, two_users: None) -> Run:
    """Definitions, two contacts and two users in use."""
    assert applied("contacts", "import", str(contacts_file), "--map", "手机=phone", "--list", "visitors").code == 0
    return applied


def launch(run: Run, *arguments: str) -> Said:
    """Lin launches."""
    return run("campaign", "launch", *arguments, "--as", "lin", given=f"{PASSWORD}\n")


def test_an_import_accounts_for_every_row(applied: Run, contacts_file: Path, tmp_path: Path) -> None:
    errors = tmp_path / "wrong.csv"
    said = applied("contacts", "import", str(contacts_file), "--json", "--errors", str(errors))
    assert said.code == 0
    assert {name: said.json[name] for name in ("read", "added", "rejected")} == {"read": 3, "added": 2, "rejected": 1}
    assert errors.read_text(encoding="utf-8-sig").splitlines()[1].startswith("4,3,email")
    assert "unchanged, 1 rejected" in applied("contacts", "import", str(contacts_file)).out


def test_a_file_that_breaks_off_fails_and_says_how_far_it_came(applied: Run, tmp_path: Path) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(b"external_id,name\n1,Wang\n2,\x00\n")
    said = applied("contacts", "import", str(path))
    assert said.code == 1
    assert "broke off after 0 rows: row 3" in said.err


@pytest.mark.parametrize(
    ("arguments", "word"), [(("nofile.csv",), "cannot be opened"), (("nofile.csv", "--map", "x"), "COLUMN=FIELD")]
)
def test_an_import_that_cannot_begin_is_wrong_usage(applied: Run, arguments: tuple[str, ...], word: str) -> None:
    said = applied("contacts", "import", *arguments)
    assert said.code == 2
    assert word in said.err


def test_an_export_can_be_imported_again(ready: Run, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert ready("contacts", "export", "-o", str(path)).code == 0
    again = ready("contacts", "import", str(path), "--json")
    assert (again.json["read"], again.json["unchanged"]) == (2, 2)
    assert "王芳" in ready("contacts", "export", "--kind", "customer").out


def test_contacts_before_any_definitions_are_told_what_to_do(run_on_servers: Run, contacts_file: Path) -> None:
    said = run_on_servers("contacts", "import", str(contacts_file))
    assert said.code == 1
    assert "notifier apply" in said.err


def test_campaigns_are_listed_with_their_next_start(applied: Run) -> None:
    listed = {one["campaign"]: one for one in applied("campaign", "list", "--json").json}
    assert listed["branch-closure-alert"]["next_start"] == "on demand"
    assert listed["measures-notice"]["next_start"].endswith("09:00 Asia/Shanghai")
    assert "measures-notice" in applied("campaign", "list").out


def test_a_forecast_counts_whom_each_channel_reaches(ready: Run) -> None:
    said = ready("campaign", "forecast", *_ALERT, "-i", "branch=静安支行", "--json")
    warn = next(step for step in said.json["steps"] if step["step"] == "warn")
    reach = {one["channel"]: one for one in warn["reach"]}
    assert said.json["contacts"] == 2
    assert (reach["email"]["reachable"], reach["sms"]["reachable"]) == (2, 1)
    assert reach["sms"]["refused"] == {"no-address": 1}
    assert "no-address 1" in ready("campaign", "forecast", *_ALERT).out


def test_a_forecast_by_the_first_possible_channel_counts_each_contact_once(ready: Run) -> None:
    said = ready("campaign", "forecast", "monthly-satisfaction", "--json")
    (ask,) = said.json["steps"]
    assert ask["pick_first"]
    assert sum(one["meant"] for one in ask["reach"]) == said.json["contacts"] == 2
    assert "a sample of 25 %" in ready("campaign", "forecast", "monthly-satisfaction").out


def test_a_forecast_names_the_input_the_audience_needs(ready: Run) -> None:
    said = ready("campaign", "forecast", "branch-closure-alert")
    assert said.code == 2
    assert "branch" in said.err


def test_a_launch_asks_first_and_says_whom_it_reaches(ready: Run) -> None:
    said = launch(ready, *_ALERT)
    assert said.code == 2
    assert "contacts meant" in said.out
    assert ready("campaign", "status", "--json").json == []


def test_a_run_is_launched_stopped_resumed_and_cancelled(ready: Run) -> None:
    run = str(launch(ready, *_ALERT, "--yes", "--json").json["run"])
    assert ready("campaign", "status", run, "--json").json["state"] == "submitted"
    digest = ready("campaign", "release", run, "--look", "--json").json["hash"]
    said = ready("campaign", "release", run, "--as", "chen", "--hash", digest, "--yes", given=f"{PASSWORD}\n")
    assert (said.code, "is scheduled" in said.out) == (0, True)
    for act, state in (("stop", "stopped"), ("resume", "scheduled"), ("stop", "stopped")):
        assert ready("campaign", act, run).code == 0
        assert ready("campaign", "status", run, "--json").json["state"] == state
    assert ready("campaign", "cancel", run).code == 2
    assert ready("campaign", "cancel", run, "--yes").code == 0
    again = ready("campaign", "resume", run)
    assert again.code == 1
    assert "cannot resume" in again.err
    assert "branch-closure-alert" in ready("campaign", "status", run).out
    assert run in ready("campaign", "status").out


def test_inputs_come_from_a_file_and_are_checked(ready: Run, tmp_path: Path) -> None:
    path = tmp_path / "week.yaml"
    path.write_text("until_date: someday\n")
    said = launch(ready, "measures-notice", "--example", "--inputs", str(path), "--yes")
    assert said.code == 2
    assert "until_date: must be a date" in said.err
    path.write_text("until_date: 2030-03-20\n")
    launched = launch(
        ready, "measures-notice", "--example", "--inputs", str(path), "--at", "2030-03-16T09:00", "--yes",
        "--json", "--list", "visitors",
    )  # fmt: skip
    assert launched.json["nominal_at"] == "2030-03-16T01:00:00+00:00"
    line = ready("campaign", "status", str(launched.json["run"]), "--json").json
    assert (line["inputs"]["until_date"], line["audience_list"]) == ("2030-03-20", "visitors")


@pytest.mark.parametrize(("at", "word"), [("soon", "is no time"), ("2030-03-16", "no time of day")])
def test_a_time_that_is_none_is_refused(ready: Run, at: str, word: str) -> None:
    said = launch(ready, *_ALERT, "--at", at, "--yes")
    assert said.code == 2
    assert word in said.err


def test_only_a_waiting_run_takes_inputs(ready: Run) -> None:
    run = str(launch(ready, *_ALERT, "--yes", "--json").json["run"])
    said = ready("campaign", "fill", run, "-i", "branch=all", "--as", "lin", given=f"{PASSWORD}\n")
    assert said.code == 1
    assert "does not wait for inputs" in said.err


def test_an_unknown_run_is_not_found(ready: Run) -> None:
    assert "there is no run 7" in ready("campaign", "stop", "7").err
    assert ready("campaign", "status", "7").code == 1


def test_a_user_is_added_once_with_a_password_from_standard_input(run_on_servers: Run) -> None:
    assert run_on_servers("user", "add", "wang", "--role", "admin", given="a good password\n").code == 0
    again = run_on_servers("user", "add", "wang", "--generate")
    assert again.code == 1
    assert "already a user" in again.err
    assert run_on_servers("user", "add", "li", given="").code == 2
    assert run_on_servers("user", "add", "li", "--role", "king", "--generate").code == 2
    assert len(run_on_servers("user", "add", "zhao", "--generate").out.strip()) == 16
    assert [one["login"] for one in run_on_servers("user", "list", "--json").json] == ["wang", "zhao"]
    assert "admin" in run_on_servers("user", "list").out


def test_a_key_is_shown_once_and_ends_when_revoked(run_on_servers: Run) -> None:
    token = run_on_servers("key", "add", "core", "--scope", "read", "--scope", "send", "--days", "3").out.strip()
    assert token.startswith("nk_1_")
    assert run_on_servers("key", "add", "core", "--json").json["scopes"] == ["read"]
    assert token.removeprefix("nk_1_") not in run_on_servers("key", "list", "--json").out
    assert run_on_servers("key", "revoke", "1").code == 0
    assert run_on_servers("key", "list", "--json").json[0]["revoked_at"]
    assert "revoked" in run_on_servers("key", "list").out
    assert run_on_servers("key", "revoke", "9").code == 1
    assert run_on_servers("key", "add", "core", "--scope", "everything").code == 2


def test_doubts_are_listed_and_only_what_is_there_is_settled(ready: Run) -> None:
    assert ready("doubt", "list", "--json").json == {"doubts": [], "set_aside": []}
    run_id = str(launch(ready, *_ALERT, "--yes", "--json").json["run"])
    said = ready("doubt", "settle", run_id, "--outcome", "sent", "--yes")
    assert (said.code, "waits for this decision" in said.err) == (1, True)
    said = ready("doubt", "replay", run_id, "--yes")
    assert (said.code, "waits for this decision" in said.err) == (1, True)
