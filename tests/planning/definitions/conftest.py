"""A small folder of definitions that is right, to be spoilt by the tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from notifier.planning.definitions.check import CheckReport, check_folder
from notifier.rendering.check import check_template

BANK = """\
name: {zh-CN: 江畔银行, en: Riverside Bank}
short_name: {zh-CN: 江畔, en: Riverside}
hotline: "95XXX"
website: https://www.riverside-bank.example
app_name: {zh-CN: 江畔掌上银行, en: Riverside App}
sms_signature: {zh-CN: 【江畔银行】, en: "Riverside Bank: "}
sms_opt_out: {zh-CN: 拒收请回复R, en: Reply STOP to opt out}
footer: {zh-CN: 江畔路1号, en: 1 River Road}
greeting: {zh-CN: "尊敬的{name}：", en: "Dear {name},"}
greeting_unnamed: {zh-CN: 尊敬的客户：, en: "Dear customer,"}
sender_email: notices@riverside-bank.example
reply_to: help@riverside-bank.example
link_domains: [riverside-bank.example]
"""
ACCOUNTS = {
    "sms": (
        "account: sms\ntitle: SMS\nchannel: sms\nprovider: sandbox\n"
        "cost_per_part: 0.045\ncurrency: CNY\nper_second: 20\n"
    ),
    "wall": "account: wall\ntitle: Wall\nchannel: social\nprovider: sandbox\norder: 10\n",
}
SURVEY = """\
survey: opinion
title: {zh-CN: 您的看法, en: Your opinion}
intro: {zh-CN: 一分钟, en: One minute}
thanks: {zh-CN: 谢谢, en: Thank you}
questions:
  rating: {type: rating, required: true, text: {zh-CN: 满意吗？, en: Satisfied?}, low: {zh-CN: 否, en: "no"}}
  attend: {type: choice, text: {zh-CN: 参加吗？, en: Coming?}, choices: {"yes": {zh-CN: 是, en: "Yes"}, "no": {zh-CN: 否, en: "No"}}}
  trust: {type: rating, text: {zh-CN: 信任吗？, en: Trust us?}, months: [3, 6, 9, 12]}
  comment: {type: text, max: 100, text: {zh-CN: 建议, en: Comment}}
score: {question: rating, method: csat, target: 85}
"""
CAMPAIGN = """\
campaign: notice
title: {zh-CN: 通报, en: Notice}
purpose: service
topic: notices
inputs:
  branches: {type: text, localized: true, max: 60, label: {zh-CN: 网点, en: Branches}, example: {zh-CN: 外滩支行, en: Bund}}
  day: {type: date, label: {zh-CN: 日期, en: Date}, example: 2026-03-12}
  place: {type: choice, choices: [north, all], default: all, label: {zh-CN: 地区, en: Area}}
  earlier: {type: run, required: false, label: {zh-CN: 之前, en: Earlier run}}
audience:
  all:
    - {kind: customer}
    - {attribute: city, in: [Shanghai, Suzhou]}
    - {attribute: age, at_least: 18}
    - any:
        - {attribute: region, is: {input: place}}
        - {input: place, is: all}
    - not: {received: {campaign: notice, step: inform, within: 6d}}
    - not: {received: {run: {input: earlier}}}
    - not: {answered: {survey: opinion, question: attend, is: "no", within: 90d}}
schedule: {start: 2026-02-02T09:00, zone: contact, repeat: "FREQ=WEEKLY;BYDAY=MO"}
expires: 4h
steps:
  inform: {channels: [sms], template: news}
  ask: {survey: opinion, by: [sms], after: 2d, sample: 2.5%, closes: 7d, template: invitation}
  post: {social: [wall], template: news, with: {part: 2, extra: {zh-CN: 附, en: more}}}
  again: {channels: [sms], template: news, after: 4h, if: not-delivered}
  before: {channels: [sms], template: news, when: {input: day, offset: -14d, at: "10:00"}, audience: {consent: sms, topic: notices}}
"""
NEWS = """\
template: news
title: {zh-CN: 通报, en: Notice}
purpose: service
variables:
  inputs.branches: {example: {zh-CN: 外滩支行, en: Bund}}
"""
INVITATION = "template: invitation\ntitle: {zh-CN: 邀请, en: Invitation}\n"

FILES = {
    "campaigns/bank.yaml": BANK,
    **{f"campaigns/accounts/{key}.yaml": text for key, text in ACCOUNTS.items()},
    "campaigns/surveys/opinion.yaml": SURVEY,
    "campaigns/notice.yaml": CAMPAIGN,
    "templates/news/template.yaml": NEWS,
    "templates/news/sms.zh-CN.txt": "{{ inputs.branches }}今日暂停营业。",
    "templates/news/sms.en.txt": "{{ inputs.branches }} closes today.",
    "templates/news/social.zh-CN.txt": "{{ inputs.branches }}今日暂停营业。",
    "templates/news/social.en.txt": "{{ inputs.branches }} closes today.",
    "templates/invitation/template.yaml": INVITATION,
    "templates/invitation/sms.zh-CN.txt": "请评价：{{ links.survey }}",
    "templates/invitation/sms.en.txt": "Tell us: {{ links.survey }}",
}

Spoil = Callable[..., CheckReport]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The right folder."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def spoil(folder: Path) -> Spoil:
    """Replaces one passage of one file and checks the folder."""

    def change(name: str, old: str, new: str) -> CheckReport:
        path = folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return check_folder(folder, check_template=check_template)

    return change
