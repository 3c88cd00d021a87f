"""Compose: one claimed message becomes content and, for e-mail, the bytes that go on the wire."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from html import escape, unescape
from typing import Any
from urllib.parse import urlsplit

from notifier.delivery.materials import RunMaterials, StepMaterials
from notifier.domain.channel import Channel, Content, EmailContent, Outgoing, SmsContent
from notifier.domain.errors import RenderError
from notifier.domain.links import LinkKind, message_token, sign_link
from notifier.domain.message import MessageId
from notifier.domain.purpose import Purpose
from notifier.domain.survey import Survey
from notifier.rendering.context import RenderContext
from notifier.rendering.mime import build_mime
from notifier.rendering.render import content_hash
from notifier.rendering.stamp import stamp_exercise

_HREF = re.compile(r'href="(https?://[^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a message is rendered from; the row holds all of it, so it can be rendered again later."""

    id: MessageId
    channel: Channel
    step: str
    variables: Mapping[str, Any] = field(repr=False)
    inputs: Mapping[str, Any] | None = field(repr=False)
    invitation_id: int | None
    locale: str = ""  # once chosen; "" = choose


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """Rendered content with what the ledger keeps of it; tracked links are not in it yet."""

    content: Content = field(repr=False)
    locale: str
    hash: bytes
    links: Mapping[str, str] = field(repr=False)

    @property
    def parts(self) -> int | None:
        """SMS parts."""
        return self.content.parts if isinstance(self.content, SmsContent) else None


class Composer:
    """Renders messages with this installation's addresses and keys."""

    def __init__(self, public_url: str, links_key: bytes) -> None:
        self._public_url, self._key = public_url, links_key

    def render(self, source: Source, materials: RunMaterials) -> Composed:
        """The content in the contact's locale; `RenderError` names the variable that is missing."""
        step = materials.steps[source.step]
        locale = source.locale or self.locale_for(source, materials, step)
        links = self._links(source, materials, step)
        context = RenderContext(
            name=str(source.variables.get("name", "")),
            locale=locale,
            attributes=source.variables.get("attributes", {}),
            inputs=materials.inputs_of(source.inputs),
            values=step.step.values,
            links=links,
            survey=_survey_facts(step.survey, locale, materials.bank.default_locale),
            purpose=step.purpose,
            step=source.step,
        )
        content = step.template.render(source.channel, locale, context)
        if materials.is_drill:
            content = stamp_exercise(content, locale)
        return Composed(content=content, locale=locale, hash=content_hash(content, links), links=links)

    def locale_for(self, source: Source, materials: RunMaterials, step: StepMaterials) -> str:
        """The locale a message is rendered in; `RenderError` where the template speaks neither."""
        wanted = str(source.variables.get("locale") or materials.bank.default_locale)
        locale = step.template.template.locale_for(source.channel, wanted, materials.bank.default_locale)
        if locale is None:
            raise RenderError(f"the template {step.template.template.key} has no {source.channel} text in {wanted}")
        return locale

    def public_id(self, materials: RunMaterials, message_id: MessageId) -> str:
        """The signed id a provider returns to us."""
        return message_token(self._key, materials.run_id, message_id)

    def targets(self, composed: Iterable[Composed], domains: tuple[str, ...]) -> set[str]:
        """The addresses in e-mails that are to be tracked: links to the bank's own domains, not to this service."""
        own = urlsplit(self._public_url).netloc
        spelled = {
            url for one in composed if isinstance(one.content, EmailContent) for url in _HREF.findall(one.content.html)
        }
        found = {unescape(url) for url in spelled}
        return {url for url in found if urlsplit(url).netloc != own and _within(urlsplit(url).hostname or "", domains)}

    def track(
        self, content: Content, materials: RunMaterials, message_id: MessageId, ids: Mapping[str, int]
    ) -> Content:
        """The same content with every known target replaced by this message's signed link to it."""
        if not isinstance(content, EmailContent):
            return content

        known: dict[str, str] = {}  # a mail names the same few addresses again and again

        def signed(found: re.Match[str]) -> str:
            href = known.get(found[1])
            if href is None:
                href = known[found[1]] = self._tracked_href(found, materials, message_id, ids)
            return href

        return replace(content, html=_HREF.sub(signed, content.html))

    def mime(
        self, content: EmailContent, outgoing: Outgoing, composed: Composed, *, date: datetime, list_id: str
    ) -> bytes:
        """The complete RFC 5322 message; its Message-ID is the same for every try."""
        unsubscribe = composed.links.get("unsubscribe", "")
        return build_mime(
            content,
            sender=outgoing.sender,
            sender_name=outgoing.sender_name,
            to=outgoing.to,
            message_id=f"{outgoing.public_id}@{outgoing.sender.rpartition('@')[2]}",
            date=date,
            reply_to=outgoing.reply_to,
            list_id=list_id if unsubscribe else "",
            unsubscribe_url=unsubscribe if unsubscribe.startswith("https://") else "",
        )

    def _tracked_href(
        self, found: re.Match[str], materials: RunMaterials, message_id: MessageId, ids: Mapping[str, int]
    ) -> str:
        number = ids.get(unescape(found[1]))
        if number is None:
            return found[0]
        token = sign_link(self._key, LinkKind.TRACKED, materials.run_id, message_id, number)
        return f'href="{escape(self._url("l", token))}"'

    def _links(self, source: Source, materials: RunMaterials, step: StepMaterials) -> dict[str, str]:
        links: dict[str, str] = {}
        if source.channel is Channel.SOCIAL:
            return links
        if step.purpose is Purpose.MARKETING or step.topic:
            links["unsubscribe"] = self._link("u", LinkKind.UNSUBSCRIBE, materials.run_id, source.id)
            links["preferences"] = self._link("p", LinkKind.PREFERENCES, materials.run_id, source.id)
        if source.invitation_id is not None:
            links["survey"] = self._link("s", LinkKind.SURVEY, source.invitation_id)
        return links

    def _link(self, page: str, kind: LinkKind, *numbers: int) -> str:
        return self._url(page, sign_link(self._key, kind, *numbers))

    def _url(self, page: str, token: str) -> str:
        return f"{self._public_url}/{page}/{token}"


def _survey_facts(survey: Survey | None, locale: str, default_locale: str) -> dict[str, object]:
    if survey is None:
        return {}
    first = survey.questions[0]
    return {
        "title": survey.title.get(locale, default_locale),
        "intro": survey.intro.get(locale, default_locale),
        "question": first.text.get(locale, default_locale),
        "scale": first.scale,
    }


def _within(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
