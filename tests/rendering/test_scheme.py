"""A mail can be looked at as on a light or a dark screen; what is unsaved is shown by a process that knows no secret."""

import os

import pytest

from notifier.domain.channel import Channel, PostContent
from notifier.domain.text import Localized
from notifier.rendering.bounded import look_in_subprocess
from notifier.rendering.examples import example_context
from notifier.rendering.scheme import Scheme, force_scheme, has_dark_rules
from tests.rendering.cases import BANK, notice

MAIL = (
    '<html><head><meta name="color-scheme" content="light dark"><style>'
    "@media (prefers-color-scheme: dark) { p { color: #fff } }"
    "@media (max-width: 480px) and ( PREFERS-COLOR-SCHEME:light ) { p { margin: 0 } }"
    "</style></head><body><p>x</p></body></html>"
)


def test_dark_forces_the_mails_own_dark_rules() -> None:
    dark = force_scheme(MAIL, Scheme.DARK)
    assert "@media (min-width: 0) { p { color: #fff } }" in dark
    assert "(max-width: 480px) and (max-width: 0)" in dark
    assert "<head><style>:root { color-scheme: dark }</style>" in dark
    assert 'content="light dark"' not in dark


def test_light_switches_them_off_whatever_the_screen() -> None:
    light = force_scheme(MAIL, Scheme.LIGHT)
    assert "@media (max-width: 0) { p { color: #fff } }" in light
    assert "color-scheme: light" in light


def test_a_mail_that_knows_no_dark_stays_light() -> None:
    assert "color-scheme: light" in force_scheme("<p>x</p>", Scheme.DARK)
    assert not has_dark_rules("<p>x</p>")
    assert has_dark_rules(MAIL)


def test_the_process_that_shows_gets_none_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # Python would stop at once, were this handed on.
    monkeypatch.setitem(os.environ, "PYTHONHOME", "/nowhere")
    template = notice(files={"social.en.txt": "hello"}, subject=Localized({}), variables={})
    wanted = [(Channel.SOCIAL, "en", example_context(template, BANK, "en"))]
    look = look_in_subprocess(template, BANK, wanted)
    assert look.problems == ()
    assert look.shown[0].content == PostContent(text="hello")
