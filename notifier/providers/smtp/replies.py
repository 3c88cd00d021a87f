"""What an SMTP reply means: whose fault, and for how long. Codes: RFC 5321 §4.2, RFC 3463 and its IANA registry."""

import re
from enum import StrEnum

from notifier.domain.errors import Fault, NeverAgain, OutcomeUnknown, SendError, TryAgain
from notifier.providers.base import safe_reason
from notifier.providers.smtp.transport import Reply

RETRY_S = 300
"""The least wait after any 4xx: greylisting answers sooner only with another no."""

_GREYLIST_S = 600


class Stage(StrEnum):
    """Which command was answered."""

    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    DOT = "final dot"
    RSET = "RSET"
    QUIT = "QUIT"


FAULTS: dict[str, Fault] = {
    "1.0": Fault.RECIPIENT,
    "1.1": Fault.RECIPIENT,  # no such mailbox
    "1.2": Fault.RECIPIENT,  # no such system
    "1.3": Fault.RECIPIENT,  # bad syntax
    "1.4": Fault.RECIPIENT,  # ambiguous
    "1.6": Fault.RECIPIENT,  # moved, no forwarding
    "1.7": Fault.SENDER,  # our address: bad syntax
    "1.8": Fault.SENDER,  # our address: bad system
    "1.9": Fault.PROVIDER,
    "1.10": Fault.RECIPIENT,  # null MX
    "2.0": Fault.PROVIDER,
    "2.1": Fault.RECIPIENT,  # mailbox disabled
    "2.2": Fault.PROVIDER,  # mailbox full: passes, the address is good
    "2.3": Fault.CONTENT,  # longer than this mailbox takes
    "2.4": Fault.PROVIDER,
    "3.4": Fault.CONTENT,  # longer than this system takes
    "7.13": Fault.RECIPIENT,  # account disabled
    "7.17": Fault.RECIPIENT,  # mailbox has another owner now
}
"""Subject and detail of an enhanced code → whose fault."""

FAULTS_BY_SUBJECT: dict[str, Fault] = {
    "3": Fault.PROVIDER,  # their system
    "4": Fault.PROVIDER,  # network and routing
    "5": Fault.SENDER,  # protocol
    "6": Fault.CONTENT,  # encoding and conversion
    "7": Fault.SENDER,  # security and policy: authentication, reputation, TLS
}
"""Subject alone, where the pair is not listed."""

FAULTS_WITHOUT_CODE: dict[tuple[Stage, int], Fault] = {
    (Stage.RCPT, 550): Fault.RECIPIENT,
    (Stage.RCPT, 551): Fault.RECIPIENT,
    (Stage.RCPT, 553): Fault.RECIPIENT,
    (Stage.RCPT, 552): Fault.PROVIDER,
    (Stage.RCPT, 554): Fault.SENDER,
    (Stage.RCPT, 555): Fault.SENDER,
    (Stage.MAIL, 552): Fault.CONTENT,
    (Stage.DOT, 550): Fault.CONTENT,
    (Stage.DOT, 552): Fault.CONTENT,
    (Stage.DOT, 554): Fault.CONTENT,
}
"""For servers without enhanced codes; whatever is not listed is ours."""

_ENHANCED = re.compile(r"\s*([245])\.(\d{1,3})\.(\d{1,3})\b")
_POLICY_WORDS = re.compile(r"block|spam|policy|reputation|denied|blacklist|relay|\bspf\b|dkim|dmarc", re.IGNORECASE)
_GREYLIST_WORDS = re.compile(r"gr[ae]y.?list|try again later", re.IGNORECASE)
_QUEUE_ID = re.compile(r"queued as <?([A-Za-z0-9._-]{1,64})", re.IGNORECASE)


def refusal(stage: Stage, reply: Reply) -> SendError:
    """The error for a reply that is not the hoped-for one."""
    reason = safe_reason(f"{reply.code} {reply.text}")
    code = enhanced_code(reply) or str(reply.code)
    if 400 <= reply.code < 500:
        wait_s = _GREYLIST_S if _GREYLIST_WORDS.search(reply.text) else RETRY_S
        return TryAgain(reason, after_s=wait_s, code=code, fault=_fault(stage, reply))
    if 500 <= reply.code < 600:
        return NeverAgain(reason, code=code, fault=_fault(stage, reply))
    if stage is Stage.DOT:
        return OutcomeUnknown(reason, code=str(reply.code))
    return TryAgain(reason, after_s=RETRY_S, code=str(reply.code))


def enhanced_code(reply: Reply) -> str:
    """`5.1.1`, or "" where the reply carries none; one that contradicts its basic code is ignored."""
    found = _ENHANCED.match(reply.text)
    if found is None or found[1] != str(reply.code)[:1]:
        return ""
    return ".".join(found.groups())


def queue_id(reply: Reply) -> str:
    """The server's own id for the message, "" where it names none."""
    found = _QUEUE_ID.search(reply.text)
    return found[1] if found else ""


def _fault(stage: Stage, reply: Reply) -> Fault:
    enhanced = enhanced_code(reply)
    if enhanced:
        pair = enhanced[2:]
        return FAULTS.get(pair) or FAULTS_BY_SUBJECT.get(pair.partition(".")[0], Fault.PROVIDER)
    if reply.code < 500:
        return Fault.PROVIDER
    fault = FAULTS_WITHOUT_CODE.get((stage, reply.code), Fault.SENDER)
    # Many servers refuse a sender with a bare 550 at RCPT: the address must not suffer for it.
    return Fault.SENDER if fault is Fault.RECIPIENT and _POLICY_WORDS.search(reply.text) else fault
