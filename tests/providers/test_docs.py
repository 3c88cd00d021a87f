"""The page on adding a provider: its example runs, its table lists what there is."""

import re
from pathlib import Path
from typing import Any

import pytest

from notifier.domain.channel import Channel
from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, TryAgain
from notifier.providers.base import Dependencies, Provider
from notifier.providers.registry import KINDS
from tests.peers.http_peer import HttpPeer, Told, http_peer
from tests.providers import builders

PAGE = (Path(__file__).parents[2] / "docs" / "add-a-provider.md").read_text(encoding="utf-8")


def example(address: str) -> Provider:
    found = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert found
    names: dict[str, Any] = {}
    exec(compile(found[1], "pigeon.py", "exec"), names)
    account = builders.account("pigeon", Channel.SMS, settings={"address": address}, secrets=("key",))
    provider: Provider = names["PIGEON"].opener(account, {"key": "secret"}, Dependencies())
    return provider


async def test_the_example_leaves_by_the_ways_it_teaches() -> None:
    async with http_peer(HttpPeer()) as peer:
        provider = example(peer.address)
        peer.answers.extend([Told(200, b'{"id": "7"}'), Told(429), Told(422), Told(500), Told(how="drop")])
        assert (await provider.send(builders.sms())).provider_ref == "7"
        for kind in (TryAgain, NeverAgain, OutcomeUnknown, OutcomeUnknown):
            with pytest.raises(kind) as caught:
                await provider.send(builders.sms())
            assert kind is not NeverAgain or caught.value.fault is Fault.RECIPIENT
        await provider.aclose()
    assert len(peer.requests) == 5


@pytest.mark.parametrize("name", sorted(KINDS))
def test_the_table_lists_every_setting_and_secret(name: str) -> None:
    row = re.search(rf"^\| `{name}` \|.*$", PAGE, re.MULTILINE)
    assert row
    told = set(re.findall(r"`(\w+)`", row[0])) - {name, "starttls", "tls", "none"}
    kind = KINDS[name]
    known = {*kind.settings.model_fields, *kind.required_secrets, *kind.optional_secrets}
    assert told - {"username", "sender"} == known - {"username", "tls"}
    for field, info in kind.settings.model_fields.items():
        assert (f"**`{field}`**" in row[0]) is info.is_required()
