"""Campaigns, steps, accounts and those who act as people call them; one place for all pages."""

from collections.abc import Mapping
from dataclasses import dataclass

from notifier.domain.account import Account
from notifier.domain.campaign import Campaign
from notifier.domain.person import SCHEDULE
from notifier.domain.run import run_name
from notifier.store.views.runs import RunLine
from notifier.store.views.users import list_api_keys, list_users
from notifier.web.console.show import Page
from notifier.web.console.words import Words

_KEY = "api-key:"
_COMMAND = "cli:"


def tell_actor(actor: str, *, users: Mapping[str, str], keys: Mapping[str, str], t: Words) -> str:
    """Who acted, in words: the user's name, the key with its name, the schedule; `users` and `keys` are their names."""
    if actor == SCHEDULE.name:
        return t("Schedule")
    if actor.startswith(_KEY):
        number = actor.removeprefix(_KEY)
        told = t("API key %(number)s", number=number)
        return f"{told} · {keys[number]}" if keys.get(number) else told
    if actor.startswith(_COMMAND):
        return t("%(name)s, command line", name=actor.removeprefix(_COMMAND))
    if actor in {"cli", "console"}:
        return t("Command line")
    return users.get(actor) or (t("Demo") if actor == "demo" else actor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a page calls things, in the language of who reads it."""

    page: Page
    campaigns: Mapping[str, Campaign]
    accounts: Mapping[str, Account]
    users: Mapping[str, str]
    keys: Mapping[str, str]

    def campaign(self, key: str) -> str:
        """The campaign's title; its key where it is gone."""
        return self.page.say(self.campaigns[key].title) if key in self.campaigns else key

    def run(self, run_id: int) -> str:
        """A run's number as one can say it: the month and which of its runs, `2026-03 #14`."""
        return run_name(run_id)

    def run_title(self, run: RunLine) -> str:
        """What the run is, in words: single messages are dated by their month."""
        title = self.campaign(run.campaign_key)
        if run.kind != "standing":
            return title
        month = self.page.words.month(run.nominal_at.date())
        return self.page.words("%(title)s: single messages by API, %(month)s", title=title, month=month)

    def step(self, campaign_key: str, name: str) -> str:
        """The step's title in the newest version; its name where it has none."""
        found = self.campaigns.get(campaign_key)
        return self.page.say(found.step_called(name)) if found else name

    def account(self, key: str) -> str:
        """The account's title."""
        return self.page.say(self.accounts[key].title) if key in self.accounts else key

    def actor(self, actor: str) -> str:
        """Who did it."""
        return tell_actor(actor, users=self.users, keys=self.keys, t=self.page.words)


async def read_names(page: Page) -> Names:
    """All names a page may need, in four small queries."""
    return Names(
        page=page,
        campaigns={campaign.key: campaign for _, campaign in await page.catalogue.campaigns(page.tx, page.team_id)},
        accounts={account.key: account for account in await page.catalogue.accounts(page.tx, page.team_id)},
        users={user.login: user.name for user in await list_users(page.tx, page.team_id)},
        keys={str(key.id): key.name for key in await list_api_keys(page.tx, page.team_id)},
    )
