"""A person at a page without scripts: sees its links and forms, clicks, chooses, and is counted."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx


@dataclass(slots=True)
class Form:
    """A form as the page shows it, with what its fields hold."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    options: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Hands:
    """Works one page after the other and counts the clicks."""

    client: httpx.AsyncClient
    clicks: int = 0
    html: str = ""
    path: str = ""

    async def open(self, path: str) -> None:
        """Go to a page, as by a bookmark."""
        self._take(await self.client.get(path))

    async def click(self, text: str) -> None:
        """Follow the link that says this."""
        found = [href for href, said in self._page().links if text in said]
        assert found, f"no link says {text!r} on {self.path}"
        self.clicks += 1
        self._take(await self.client.get(found[0]))

    async def press(self, button: str, **typed: str) -> None:
        """Choose or type into the fields of the form with this button, one click each, and press it."""
        form = self.form(button)
        for name, value in typed.items():
            assert name in form.fields, f"there is no field {name!r}"
            assert name not in form.options or value in form.options[name], f"{value!r} cannot be chosen"
        self.clicks += 1 + len(typed)
        answer = await self.client.post(form.action, data={**form.fields, **typed})
        while answer.status_code == 303:
            answer = await self.client.get(answer.headers["location"])
        self._take(answer)

    def form(self, button: str) -> Form:
        """The form with this button."""
        found = [form for form in self._page().forms if any(button in said for said in form.buttons)]
        assert found, f"no button says {button!r} on {self.path}"
        return found[0]

    @property
    def text(self) -> str:
        """What the page says."""
        return " ".join(self._page().said.split())

    def _take(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, (answer.status_code, answer.headers.get("location"), answer.text[-400:])
        self.html, self.path = answer.text, answer.request.url.path

    def _page(self) -> "_Reader":
        reader = _Reader()
        reader.feed(self.html)
        return reader


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, str]] = []
        self.forms: list[Form] = []
        self.said = ""
        self._href: str | None = None
        self._link = ""
        self._button: str | None = None
        self._select = ""
        self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        form = self.forms[-1] if self.forms else Form("")
        if tag == "a":
            self._href, self._link = given.get("href"), ""
        elif tag == "form":
            self.forms.append(Form(given.get("action", "")))
        elif tag == "button" and "formaction" not in given and given.get("type", "submit") == "submit":
            self._button = ""
        elif tag == "input" and (given.get("type") not in {"checkbox", "radio"} or "checked" in given):
            form.fields[given.get("name", "")] = given.get("value", "")
        elif tag == "select":
            self._select = given.get("name", "")
            form.fields[self._select] = ""
            form.options[self._select] = []
        elif tag == "option" and self._select:
            form.options[self._select].append(given.get("value", ""))
            if "selected" in given:
                form.fields[self._select] = given.get("value", "")
        elif tag == "textarea":
            self._area = given.get("name", "")
            form.fields[self._area] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._href is not None:
            self.links.append((self._href, self._link))
            self._href = None
        elif tag == "button" and self._button is not None:
            self.forms[-1].buttons.append(self._button)
            self._button = None
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self._area = ""

    def handle_data(self, data: str) -> None:
        self.said += data + " "
        if self._href is not None:
            self._link += data
        if self._button is not None:
            self._button += data
        if self._area:
            self.forms[-1].fields[self._area] += data
