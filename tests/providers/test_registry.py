"""The registry: an account that is wrong says which setting and what it wants; definitions hold no secrets."""

import pytest

from notifier.domain.account import Account
from notifier.domain.channel import Channel
from notifier.domain.errors import InputError
from notifier.providers.base import Capabilities, safe_reason
from notifier.providers.registry import KINDS, capabilities_of, check_account, open_provider, settings_schema
from tests.providers import builders

SID = "AC" + "0" * 32


@pytest.mark.parametrize(
    ("account", "says"),
    [
        (builders.account("pigeon", Channel.SMS), "provider: there is no provider 'pigeon'. Known: .*smtp"),
        (builders.account("smtp", Channel.SMS), "channel: smtp cannot carry sms. It carries: email"),
        (builders.account("smtp", Channel.EMAIL), "settings.host: is missing. It wants the mail server's name"),
        (builders.smtp_account(0), "settings.port: .*It wants a port, 1 to 65535"),
        (
            builders.smtp_account(25, conections=3),
            "settings.conections: smtp has no such setting. Known: .*connections",
        ),
        (builders.smtp_account(25, tls="maybe"), "settings.tls: .*It wants starttls"),
        (builders.smtp_account(25, timeout_s=0), "settings.timeout_s: .*It wants seconds"),
        (
            builders.account("twilio", Channel.SMS, sender="+12125550100", settings={"account_sid": SID}),
            "secrets.auth_token: is missing. .*env: NAME_OF_THE_VARIABLE",
        ),
        (
            builders.account("twilio", Channel.SMS, settings={"account_sid": SID}, secrets=("auth_token",)),
            "sender: nobody to send as",
        ),
        (builders.twilio_account("http://api.example"), "settings.api_base: .*It wants another https address"),
        (builders.twilio_account("https://user@api.example"), "settings.api_base"),
        (builders.mastodon_account("http://social.example"), "settings.instance: .*It wants the server's address"),
        (builders.mastodon_account("https://social.example", visibility="loud"), "settings.visibility"),
        (builders.account("sandbox", Channel.SMS, settings={"bounce_pct": 101}), "settings.bounce_pct: .*0 to 100"),
        (
            builders.account("sandbox", Channel.SMS, settings={"bounce_pct": 60, "refuse_pct": 60}),
            "settings: the shares add up to more than 100 percent",
        ),
        (builders.account("manual", Channel.SOCIAL, secrets=("password",)), "secrets.password: manual has no such"),
        (builders.account("manual", Channel.SOCIAL, settings={"open_url": "javascript:x"}), "settings.open_url"),
    ],
)
def test_a_wrong_account_is_told_what_to_write(account: Account, says: str) -> None:
    with pytest.raises(InputError, match=says):
        check_account(account)
    with pytest.raises(InputError, match=says):
        open_provider(account, dict.fromkeys(account.secrets, "value"))


def test_a_secret_without_a_value_names_its_variable() -> None:
    account = builders.twilio_account("https://api.twilio.com")
    check_account(account)
    with pytest.raises(InputError, match="AUTH_TOKEN"):
        open_provider(account, {})


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_setting_says_what_it_wants(name: str) -> None:
    assert isinstance(capabilities_of(name), Capabilities)
    properties = settings_schema(name)["properties"]
    assert isinstance(properties, dict)
    assert all(setting.get("description") for setting in properties.values())


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("550 5.1.1 <ann@example.com>: no", "550 5.1.1 <…>: no"),
        ("The 'To' number +1 212 555 0123 is bad", "The 'To' number … is bad"),
        ("a\r\nb\x00c\u202ed\u2028e", "a b c d e"),
        ("x" * 500, "x" * 199 + "…"),
    ],
)
def test_a_foreign_text_is_made_fit_to_show(text: str, safe: str) -> None:
    assert safe_reason(text) == safe
