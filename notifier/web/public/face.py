"""What every public page shares: the bank's name and colour, the language, the headers."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from notifier.domain.template import Bank
from notifier.web.catalogue import DEFAULT_TEAM, NO_BANK, Catalogue
from notifier.web.public.theme import readable
from notifier.web.public.words import LANGUAGES, WORDS, choose_locale

_WEB = Path(__file__).parents[1]
STYLE = (_WEB / "assets" / "public.css").read_text(encoding="utf-8")
_STYLE_HASH = sha256(STYLE.encode()).hexdigest()[:10]
_LOGO_LENGTH = 12_000  # a page stays under 30 kB
_NO_BANK = "#0b5d5e"

PAGE_HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "x-robots-tag": "noindex, nofollow",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
}

_environment = Environment(
    loader=FileSystemLoader(_WEB / "pages" / "public"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """The bank as one visitor sees it."""

    locale: str
    default_locale: str = "zh-CN"
    name: str = ""
    short_name: str = ""
    hotline: str = ""
    footer: str = ""
    logo: str = ""  # a `data:` address: nothing is fetched from elsewhere
    accent: str = _NO_BANK
    zone: str = "UTC"

    @property
    def words(self) -> Mapping[str, str]:
        """The page's own words."""
        return WORDS[self.locale]

    @property
    def style_url(self) -> str:
        """The style sheet in the bank's colour; a new address with every change."""
        return f"/public/{_STYLE_HASH}/{self.accent.removeprefix('#')}.css"


async def read_bank(request: Request) -> Bank | None:
    """The bank, None before its definition is applied."""
    catalogue: Catalogue = request.app.state.catalogue
    async with request.app.state.database.transaction() as tx:
        bank = await catalogue.bank(tx, DEFAULT_TEAM)
    return None if bank is NO_BANK else bank


def face_of(request: Request, bank: Bank | None, *, locale: str = "") -> Face:
    """In the language the visitor chose, else that of the message, of the browser, of the bank."""
    default = bank.default_locale if bank else "zh-CN"
    browser = request.headers.get("accept-language", "").split(",")[0].split(";")[0].strip()
    chosen = choose_locale(request.query_params.get("lang"), locale, browser, default=default)
    if bank is None:
        return Face(locale=chosen)
    return Face(
        locale=chosen,
        default_locale=default,
        name=bank.name.get(chosen, default),
        short_name=bank.short_name.get(chosen, default),
        hotline=bank.hotline,
        footer=bank.footer.get(chosen, default),
        logo=bank.logo if bank.logo.startswith("data:image/") and len(bank.logo) <= _LOGO_LENGTH else "",
        accent=readable(bank.accent),
        zone=bank.zone,
    )


def page(request: Request, template: str, face: Face, *, status: int = 200, **values: object) -> HTMLResponse:
    """The template in the visitor's language, with the headers of every public page."""
    html = _environment.get_template(template).render(
        face=face, words=face.words, languages=_languages(request, face.locale), **values
    )
    return HTMLResponse(html, status_code=status, headers={**PAGE_HEADERS, "content-language": face.locale})


def notice(
    request: Request, face: Face, *, title: str, text: str, status: int = 200, kind: str = "done"
) -> HTMLResponse:
    """A page that says one thing; `kind` picks its mark: `done` or `info`."""
    return page(request, "notice.html", face, status=status, title=title, text=text, kind=kind)


async def unknown_page(request: Request) -> HTMLResponse:
    """The same page for every link that leads nowhere, whatever is wrong with it."""
    face = face_of(request, await read_bank(request))
    words = face.words
    text = words["unknown"].format(hotline=face.hotline) if face.hotline else words["unknown_title"]
    return notice(request, face, title=words["unknown_title"], text=text, status=404, kind="info")


def _languages(request: Request, current: str) -> list[tuple[str, str, str]]:
    """Locale, its name and the address of this page in it, for every language but the current one."""
    others = {name: value for name, value in request.query_params.items() if name != "lang"}
    return [
        (locale, name, "?" + urlencode({**others, "lang": locale}))
        for locale, name in LANGUAGES.items()
        if locale != current
    ]
