"""Watch: what stands still is put right where that is safe, and told once to those who operate."""

from collections.abc import Mapping

from notifier.logs import get_logger
from notifier.planning.account_alarms import tell_operators
from notifier.planning.alarms import Texts
from notifier.store.database import Database
from notifier.store.messages.doubts import sweep_unleased
from notifier.store.troubles import Trouble, look_for_troubles, note_unleased, take_untold

log = get_logger()
_TEXTS: Mapping[str, Texts] = {
    "zh": Texts(
        subject="有消息停滞，请查看",
        lines=(
            "发送进程在运行，但有内容停滞不前。",
            "情况：{reason}",
            "请查看：{link}",
            "您是{bank}的操作员或管理员，因此收到本邮件。",
        ),
        short="有消息停滞：{reason}。请查看：{link}",
    ),
    "en": Texts(
        subject="Something stands still, please look",
        lines=(
            "Workers live, and yet something does not go on.",
            "What: {reason}",
            "Please look: {link}",
            "You get this because you operate or administer for {bank}.",
        ),
        short="Something stands still: {reason}. Please look: {link}",
    ),
}
_SAID: Mapping[str, Mapping[str, str]] = {
    "unleased": {
        "zh": "{count} 条消息没有任何发送进程持有，已列为存疑",
        "en": "{count} messages were held by no worker and are in doubt now",
    },
    "waiting": {
        "zh": "执行 {run} 有到期的消息长时间无人发送",
        "en": "messages of run {run} are due and nobody sends them",
    },
    "callbacks": {
        "zh": "{count} 个或更多回执超过五分钟未处理",
        "en": "{count} or more callbacks have waited for over five minutes",
    },
    "lease": {
        "zh": "执行 {run} 有消息被同一进程持有超过一小时",
        "en": "messages of run {run} have been held by one worker for over an hour",
    },
}


async def watch_for_troubles(database: Database) -> int:
    """Look once; returns how many alarms were queued. Safe to run side by side."""
    async with database.transaction() as tx:
        if unleased := await sweep_unleased(tx):
            await note_unleased(tx, unleased)
    async with database.transaction() as tx:
        if not await look_for_troubles(tx):
            return 0
        queued = 0
        for team_id, trouble in await take_untold(tx):
            log.warning("planning.trouble_found", kind=trouble.kind, run=trouble.run_id, count=trouble.count)
            queued += await tell_operators(tx, team_id, _TEXTS, _say(trouble))
    return queued


def _say(trouble: Trouble) -> Mapping[str, str]:
    """What happened, by language."""
    return {
        language: text.format(count=trouble.count, run=trouble.run_id) for language, text in _SAID[trouble.kind].items()
    }
