"""Every mistake is found, at its place, with what to write instead."""

from pathlib import Path

import pytest

from notifier.domain.errors import DefinitionErrors
from notifier.planning.definitions.check import check_folder
from notifier.planning.definitions.folder import load_definitions
from notifier.rendering.check import check_template
from tests.planning.definitions.conftest import Spoil

N, S, B = "campaigns/notice.yaml", "campaigns/surveys/opinion.yaml", "campaigns/bank.yaml"
T, W = "templates/news/template.yaml", "campaigns/accounts/wall.yaml"


def test_a_right_folder_has_no_errors(folder: Path) -> None:
    report = check_folder(folder, check_template=check_template)
    assert report.errors == ()
    assert report.require().campaigns["notice"].file == N
    assert [entry.key for entry in report.require().entries()] == [
        "bank", "sms", "wall", "opinion", "invitation", "news", "notice",
    ]  # fmt: skip


CASES = [
    (N, "channels: [sms], template: news}", "chanels: [sms], template: news}", "Did you mean `channels`?", "chanels:"),
    (
        N,
        "  inform: {channels: [sms], template: news}",
        "  inform: {channels: [sms], template: new}",
        "Did you mean `news`?",
        "new",
    ),
    (N, "purpose: service", "purpose: servise", "Did you mean `service`?", "servise"),
    (N, "purpose: service", "purpose: marketing", "the template `news` is service, the step is marketing", "news"),
    (N, "purpose: service", "purpose: {of: day}", "`day` is not a required input of type run", "{of:"),
    (N, "social: [wall]", "social: [wal]", "Did you mean `wall`?", "wal"),
    (N, "social: [wall]", "social: [sms]", "the account `sms` is for sms, not for posts", "sms"),
    (N, "survey: opinion, by", "survey: opinon, by", "Did you mean `opinion`?", "opinon"),
    (N, "by: [sms]", "by: [email]", "no account sends email", "[email], aft"),
    (N, "sample: 2.5%", "sample: 0%", "Write `5%`", "0"),
    (N, "closes: 7d", "closes: 7 days", "must be a duration", "7"),
    (N, "after: 2d", "after: -2d", "out of bounds", "-2d"),
    (
        N,
        'after: 4h, if: not-delivered}\n  before: {channels: [sms], template: news, when: {input: day, offset: -14d, at: "10:00"},',
        "if: not-delivered}\n  before: {channels: [sms], template: news,",
        "nothing was sent before this step",
        "not-delivered",
    ),
    (N, "if: not-delivered", "if: not-opened", "Possible are: not-delivered", "not-opened"),
    (N, "type: date, ", "type: date, not_before: dai, ", "`dai` is not another input of type date", "dai"),
    (N, "type: date, ", "type: date, not_before: day, ", "`day` is not another input of type date", "day, "),
    (N, "input: day, offset", "input: place, offset", "Possible are: day", "place"),
    (N, "input: day, offset", "input: dai, offset", "Did you mean `day`?", "dai"),
    (N, 'at: "10:00"}', 'at: "25:00"}', "must be a time of day", '"25:00"}, au'),
    (N, "with: {part: 2,", "with: {day: 2,", "`day` is an input of the campaign too", "2"),
    (N, "{kind: customer}", "{kinds: customer}", "Did you mean `kind`?", "{kinds:"),
    (N, "{kind: customer}", "{kind: customer, list: vip}", "one rule per `-`", "{kind:"),
    (N, "at_least: 18", "at_least: old", "compares numbers and dates", "old"),
    (N, "at_least: 18", "at_last: 18", "Did you mean `at_least`?", "at_last:"),
    (N, "at_least: 18", "at_least: 18, below: 30", "needs one operator, it has 2", "{attribute:"),
    (N, "is: {input: place}", "is: {input: plase}", "Did you mean `place`?", "plase"),
    (N, "{input: place, is: all}", "{input: place, is: south}", "no choice `south`", "south"),
    (N, "step: inform, within", "step: informs, within", "Did you mean `inform`?", "informs"),
    (N, "run: {input: earlier}", "run: {input: day}", "not an input of type run", "day"),
    (N, "question: attend", "question: attends", "Did you mean `attend`?", "attends"),
    (N, 'is: "no"', "is: maybe", "has no choice `maybe`", "maybe"),
    (N, "zone: contact", "zone: Asia/Shanghia", "Did you mean `Asia/Shanghai`?", "Asia"),
    (N, "FREQ=WEEKLY", "FREQ=SECONDLY", "FREQ must be", '"FREQ=SECOND'),
    (N, "2026-02-02T09:00", "2026-02-30T09:00", "no date of the calendar", "2026-02-30T09:"),
    (N, "2026-02-02T09:00", "2026-02-02", "must be a date with a time", "2026-02-02"),
    (N, "start: 2026", "at: 2026", "`at` means one run", '"FREQ=WEEKLY'),
    (N, "expires: 4h", "expires: 0h", "longer than nothing", "0h"),
    (N, "expires: 4h", "undo: 2h", "`undo: 2h` is out of bounds", "2h"),
    (N, "expires: 4h", "undo: half a minute", "must be a duration", "half"),
    (N, "expires: 4h", "pause: {bounces: 120%}", "must be a percentage", "120"),
    (N, "expires: 4h", "pause: {after: 0}", "Write a number from 1", "0}"),
    (N, "expires: 4h", "pause: {bouncing: 3%}", "Did you mean `bounces`?", "bouncing"),
    (N, "example: 2026-03-12", "example: 12.3.2026", "Write it as 2026-03-12", "12.3.2026"),
    (N, "default: all", "default: al", "Did you mean `all`?", "al"),
    (N, "max: 60", "max: 2", "is 4 characters long", "外滩支行"),
    (N, "title: {zh-CN: 通报, en: Notice}", "title: {zh-CN: 通报}", "the text in en is missing", "title:"),
    (
        N,
        "title: {zh-CN: 通报, en: Notice}",
        "title: {zh-CN: 通报, en: Notice, fr: Avis}",
        "not a locale of the bank",
        "fr:",
    ),
    (N, "  branches:", "  branch:", "needs `inputs.branches`", "news"),
    (
        N,
        "type: text, localized: true",
        "type: text, required: false, localized: true",
        "which may be left out here",
        "news",
    ),
    (N, "campaign: notice\n", "campaign: Notice!\n", "small letters, digits and hyphens", "Notice!"),
    (N, "topic: notices\n", "topic: notices\ntopic: x\n", "`topic` stands twice, first on line 4", "topic:"),
    (N, "topic: notices\n", "topic: 12\n", "Put quotes around it", "12"),
    (N, "topic: notices\n", "\ttopic: notices\n", "a tab indents this line", "\ttopic: noti"),
    (N, "steps:\n", "steps: {}\nrest:\n", "the campaign does nothing", "{"),
    (S, "question: rating", "question: attend", "Ratings are: rating, trust", "attend"),
    (S, "question: rating", "question: ratin", "is not a rating question", "ratin"),
    (S, "type: rating, required: true", "type: rating, scale: 7, required: true", "csat counts 4 and 5 of 5", "rating"),
    (S, "method: csat", "method: nps", "Possible are: csat", "nps"),
    (S, "target: 85", "target: 850", "from 0 to 100", "850"),
    (S, "months: [3, 6, 9, 12]", "months: [3, 13]", "from 1 to 12", "13"),
    (S, "max: 100", "scale: 5", "belongs to a rating question", "scale:"),
    (S, "thanks:", "thank:", "Did you mean `thanks`?", "thank:"),
    (B, 'hotline: "95XXX"', "hotline: 95533", "Put quotes around it", "95533"),
    (B, "[riverside-bank.example]", "[other.example]", "not among `link_domains`", "https:"),
    (B, "Dear {name},", "Dear {nmae},", "`{name}` once", '"Dear {nmae}'),
    (B, "sender_email: notices@", "sender_email: notices", "e-mail address", "noticesriverside-bank.example"),
    (B, "reply_to:", "zone: Mars/Base\nreply_to:", "not a time zone", "Mars"),
    (B, "reply_to:", "region: XX\nreply_to:", "not a phone region", "XX"),
    (B, "reply_to:", "default_locale: fr\nreply_to:", "not among `locales`", "fr"),
    (W, "provider: sandbox", "provider: sandbx", "there is no provider", "sandbx"),
    (W, "order: 10", "secrets: {token: hunter2}", "is written into the file", "hunter2"),
    (W, "order: 10", "order: 10\ncost_per_part: 0.05", "only an SMS has parts", "cost_per_part:"),
    ("campaigns/accounts/sms.yaml", "currency: CNY\n", "", "a cost wants its currency", "cost_per_part:"),
    ("campaigns/accounts/sms.yaml", "cost_per_part: 0.045\n", "", "a currency alone", "currency:"),
    ("campaigns/accounts/sms.yaml", "CNY", "yuan", "three capital letters", "yuan"),
    ("campaigns/accounts/sms.yaml", "per_second: 20", "per_second: 0", "must be a number", "0"),
    (W, "order: 10", "groups: {big: {domains: [gmail.com], per_second: 9}}", "only e-mail goes to domains", "groups:"),
    (W, "order: 10", "sender_per_second: fast", "must be a number", "fast"),
    (
        W,
        "channel: social",
        "channel: email\ngroups: {a: {domains: [gmail.com], per_second: 9}, b: {domains: [gmail.com], per_second: 9}}",
        "stands in the group `a` already",
        "[gmail.com], per_second: 9}}",
    ),
    (
        W,
        "channel: social",
        "channel: email\ngroups: {a: {domains: [Gmail], per_second: 9}}",
        "without https:// and path",
        "Gmail",
    ),
    (
        W,
        "channel: social",
        "channel: email\ngroups: {a: {domains: [gmail.com]}}",
        "`per_second` is missing",
        "{domains:",
    ),
    (W, "account: wall", "account: sms", "is defined in campaigns/accounts/sms.yaml already", "sms"),
    (T, "template: news", "template: newz", "stands in the folder `news`", "newz"),
    (T, "inputs.branches", "input.branches", "is not a variable of templates", "input.branches:"),
    (T, "purpose: service", "purpose: service\nfallback: {en: fr}", "not a locale of the bank", "fr"),
    (
        N,
        "example: {zh-CN: 外滩支行, en: Bund}",
        "example: {zh-CN: 外滩支行}",
        "the example of `branches.en` is missing",
        "{zh-CN:",
    ),
]


@pytest.mark.parametrize(("name", "old", "new", "said", "at"), CASES)
def test_a_mistake_is_named_at_its_place(
    folder: Path, spoil: Spoil, name: str, old: str, new: str, said: str, at: str
) -> None:
    errors = spoil(name, old, new).errors
    hits = [error.place for error in errors if said in str(error) and error.place.file == name]
    assert hits, [str(error) for error in errors]
    lines = (folder / name).read_text(encoding="utf-8").split("\n")
    assert any(lines[place.line - 1][place.column - 1 :].startswith(at) for place in hits), hits


def test_a_secret_written_into_a_file_is_not_repeated(spoil: Spoil) -> None:
    report = spoil(W, "order: 10", "secrets: {token: hunter2}")
    assert "hunter2" not in " ".join(map(str, report.errors))


def test_all_mistakes_come_at_once_in_order(folder: Path, spoil: Spoil) -> None:
    (folder / S).write_text("survey: [", encoding="utf-8")
    report = spoil(N, "purpose: service", "purpose: x\nexpires: soon\nwhy: not")
    found = [(error.place.file, error.place.line) for error in report.errors]
    assert found == sorted(found)
    assert {(N, 3), (N, 5)} <= set(found)
    assert S in {file for file, _ in found}


def test_a_broken_file_is_not_reported_as_missing_by_others(spoil: Spoil) -> None:
    report = spoil(T, "title:", "titel:")
    assert {error.place.file for error in report.errors} == {T}


@pytest.mark.parametrize(
    ("name", "missing"),
    [("templates/news/sms.en.txt", "no sms.en.txt"), ("templates/news/social.en.txt", "no social.en.txt")],
)
def test_a_step_needs_a_text_in_every_language(folder: Path, name: str, missing: str) -> None:
    (folder / name).unlink()
    report = check_folder(folder, check_template=check_template)
    assert any(missing in str(error) and error.place.file == N for error in report.errors)


def test_a_declared_fallback_stands_in_for_a_language(folder: Path, spoil: Spoil) -> None:
    (folder / "templates/news/sms.en.txt").unlink()
    report = spoil(T, "purpose: service", "purpose: service\nfallback: {en: zh-CN}")
    assert not [error for error in report.errors if "sms.en.txt" in str(error)]


def test_marketing_to_contacts_needs_a_topic(folder: Path, spoil: Spoil) -> None:
    path = folder / T
    path.write_text(path.read_text().replace("purpose: service\n", ""))
    report = spoil(N, "purpose: service\ntopic: notices", "purpose: marketing")
    assert any("marketing needs a topic" in str(error) for error in report.errors)


def test_a_mistake_in_a_templates_text_stands_at_its_line(folder: Path) -> None:
    (folder / "templates/news/sms.en.txt").write_text("Hello\n{{ inputs.branchs }} closes.", encoding="utf-8")
    report = check_folder(folder, check_template=check_template)
    assert ("templates/news/sms.en.txt", 2) in {(error.place.file, error.place.line) for error in report.errors}


def test_templates_are_checked_in_a_process_of_their_own(folder: Path) -> None:
    (folder / "templates/news/sms.en.txt").write_text("{% for %}", encoding="utf-8")
    assert "templates/news/sms.en.txt" in {error.place.file for error in check_folder(folder).errors}


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"\xff\xfec\x00", "is UTF-16"),
        (b"campaign: x\ntitle: \xb9\xe3\n", "is not UTF-8 from here on"),
        (b"a: " + b"x" * 5_000_000, "is larger than"),
        (b"a: 1\n---\nb: 2\n", "second document"),
        (b"%YAML 1.1\n---\na: yes\n", "directive"),
        (b"[" * 5000, "nested too deeply"),
        (b"a: \x00", "control character"),
        (b"a: &x [*x]", "nested too deeply"),
        (b"a: *x", "without its anchor"),
        (b"a: !!python/object:os.system x", "is not understood"),
        (b"1: x", "is used as a key"),
        (b"? [a]\n: x", "is used as a key"),
        (b"just a text", "must be a mapping"),
        (b"a: b: c", "Put quotes"),
        (b"- 1\n- 2\n", "must be a mapping"),
        (b"<<: {a: 1}\n", "is not a key here"),
        (b"a: [1, 2", "Check quotes"),
        (b"steps:\n", "must be a mapping"),
        (b"steps: {x: [1]}\naudience: 5\ninputs: {a: 3}\nschedule: now\n", "must be a mapping"),
    ],
)
def test_no_file_is_bad_enough_for_a_stack_trace(folder: Path, raw: bytes, said: str) -> None:
    (folder / N).write_bytes(raw)
    report = check_folder(folder, check_template=check_template)
    assert any(said in str(error) and error.place.file == N for error in report.errors), report.errors


def test_aliases_cannot_blow_up(folder: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (folder / N).write_text("\n".join(lines))
    assert any("too large" in str(error) for error in check_folder(folder, check_template=check_template).errors)


def test_a_byte_order_mark_does_no_harm(folder: Path) -> None:
    path = folder / N
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert check_folder(folder, check_template=check_template).ok


def test_a_yml_file_is_not_passed_over_in_silence(folder: Path) -> None:
    (folder / "campaigns/other.yml").write_text("campaign: other\n")
    with pytest.raises(DefinitionErrors, match=r"Rename it to other\.yaml"):
        load_definitions(folder)


def test_a_folder_without_definitions_says_how_to_begin(tmp_path: Path) -> None:
    assert "notifier init" in str(check_folder(tmp_path).errors[0])
    (tmp_path / "campaigns").mkdir()
    assert "bank.yaml: is missing" in str(check_folder(tmp_path).errors[0])
    assert not check_folder(tmp_path).ok


def test_a_template_folder_without_its_file_is_named(folder: Path) -> None:
    (folder / "templates/empty").mkdir()
    assert "templates/empty: has no template.yaml" in str(check_folder(folder, check_template=check_template).errors[0])
