"""Compose: one claimed message becomes content and, for e-mail, the bytes that go on the wire."""

import re
from collections.abc import Iterable, Mapping, Sequence
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
from notifier.rendering.prepared import Prepared
from notifier.rendering.skeleton import Letter

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
    """Rendered content with what the ledger keeps of it; what is tracked of its links `Composer.track` puts in."""

    said: Content | Letter = field(repr=False)
    locale: str
    hash: bytes
    links: Mapping[str, str] = field(repr=False)

    @property
    def content(self) -> Content:
        """All of it."""
        return self.said.content if isinstance(self.said, Letter) else self.said

    @property
    def parts(self) -> int | None:
        """SMS parts."""
        return self.said.parts if isinstance(self.said, SmsContent) else None


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
        rendered = self._prepared(source, materials, locale).render(context)
        return Composed(said=rendered.said, locale=locale, hash=rendered.hash, links=links)

    def _prepared(self, source: Source, materials: RunMaterials, locale: str) -> Prepared:
        open_inputs = source.inputs is not None
        key = (source.step, source.channel.value, locale, open_inputs)
        prepared = materials.prepared.get(key)
        if prepared is None:
            template = materials.steps[source.step].template
            prepared = Prepared(template, source.channel, locale, open_inputs=open_inputs, stamped=materials.is_drill)
            materials.prepared[key] = prepared
        return prepared

    def locale_for(self, source: Source, materials: RunMaterials, step: StepMaterials) -> str:
        """The locale a message is rendered in; `RenderError` where the template speaks neither."""
        wanted = str(source.variables.get("locale") or materials.bank.default_locale)
        locale = step.template.locale_for(source.channel, wanted)
        if locale is None:
            raise RenderError(f"the template {step.template.template.key} has no {source.channel} text in {wanted}")
        return locale

    def public_id(self, materials: RunMaterials, message_id: MessageId) -> str:
        """The signed id a provider returns to us."""
        return message_token(self._key, materials.run_id, message_id)

    def targets(self, composed: Iterable[Composed], domains: tuple[str, ...]) -> set[str]:
        """The addresses in e-mails that are to be tracked: links to the bank's own domains, not to this service."""
        own = urlsplit(self._public_url).netloc
        found = {unescape(url) for url in {url for one in composed for url in _hrefs(one.said)}}
        return {url for url in found if urlsplit(url).netloc != own and _within(urlsplit(url).hostname or "", domains)}

    def track(
        self, composed: Composed, materials: RunMaterials, message_id: MessageId, ids: Mapping[str, int]
    ) -> Composed:
        """The same with every known target replaced by this message's signed link to it; the hash stays."""
        said = composed.said
        hrefs = {}
        for href in set(_hrefs(said)):
            number = ids.get(unescape(href))
            if number is not None:
                token = sign_link(self._key, LinkKind.TRACKED, materials.run_id, message_id, number)
                hrefs[href] = escape(self._url("l", token))
        if not hrefs:
            return composed
        if isinstance(said, Letter):
            return replace(composed, said=said.leading_to(hrefs))
        assert isinstance(said, EmailContent)
        html = _HREF.sub(lambda found: f'href="{hrefs.get(found[1], found[1])}"', said.html)
        return replace(composed, said=replace(said, html=html))

    def mime(self, composed: Composed, outgoing: Outgoing, *, date: datetime, list_id: str) -> bytes:
        """The complete RFC 5322 message of an e-mail; its Message-ID is the same for every try."""
        assert isinstance(composed.said, EmailContent | Letter)
        unsubscribe = composed.links.get("unsubscribe", "")
        return build_mime(
            composed.said,
            sender=outgoing.sender,
            sender_name=outgoing.sender_name,
            to=outgoing.to,
            message_id=f"{outgoing.public_id}@{outgoing.sender.rpartition('@')[2]}",
            date=date,
            reply_to=outgoing.reply_to,
            list_id=list_id if unsubscribe else "",
            unsubscribe_url=unsubscribe if unsubscribe.startswith("https://") else "",
        )

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


def _hrefs(said: Content | Letter) -> Sequence[str]:
    """The addresses behind an e-mail's links, as written in its HTML, that may be tracked."""
    if isinstance(said, Letter):
        return said.skeleton.hrefs
    return _HREF.findall(said.html) if isinstance(said, EmailContent) else ()


def _within(host: str, domains: tuple[str, ...]) -> bool:
    return any(host == domain or host.endswith(f".{domain}") for domain in domains)
