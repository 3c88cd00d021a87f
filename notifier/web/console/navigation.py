"""The rooms of the desk in the order of the day's work: what happens, to whom, with which words, by whom."""

from typing import NamedTuple


class Entry(NamedTuple):
    """A way to a room: its address, its sign, its name as a message to translate."""

    href: str
    icon: str
    label: str


_WORK = (
    Entry("/", "home", "Overview"),
    Entry("/calendar", "calendar", "Calendar"),
    Entry("/campaigns", "flag", "Campaigns"),
    Entry("/runs", "send", "Runs"),
    Entry("/posts", "hand", "Posts by hand"),
    Entry("/doubts", "alert", "Doubts"),
)
_PEOPLE = (Entry("/contacts", "people", "Contacts"), Entry("/segments", "segment", "Segments"))
_WORDS = (Entry("/templates", "template", "Templates"), Entry("/surveys", "chart", "Surveys"))
_PROOF = Entry("/proof-readers", "proof", "Proof readers")
_SANDBOX = Entry("/sandbox", "phone", "Sandbox")
_ADMINISTRATION = (Entry("/users", "person", "Users"), Entry("/keys", "key", "API keys"))
_AUDIT = Entry("/audit", "audit", "Audit")


def navigation(*, may_audit: bool, may_administer: bool, has_sandbox: bool) -> list[list[Entry]]:
    """The groups somebody sees; a room their role may not enter is not offered, a group never empty."""
    groups = [
        [*_WORK],
        [*_PEOPLE],
        [*_WORDS],
        [_PROOF, *([_SANDBOX] if has_sandbox else [])],
        [*(_ADMINISTRATION if may_administer else ()), *([_AUDIT] if may_audit else [])],
    ]
    return [group for group in groups if group]


def is_within(path: str, href: str) -> bool:
    """Whether a page belongs to a room; a message belongs to its run, only the overview to the overview."""
    if href == "/":
        return path == href
    return f"{path}/".startswith(f"{href}/") or (href == "/runs" and path.startswith("/messages/"))
