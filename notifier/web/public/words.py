"""The public pages' own words per locale; what the bank says stands in its definitions."""

from collections.abc import Mapping

LANGUAGES: Mapping[str, str] = {"zh-CN": "中文", "en": "English"}
"""Locales of the pages → what their readers call them."""

_ZH: Mapping[str, str] = {
    "skip_link": "跳到问题",
    "optional": "选填",
    "text_hint": "最多 {max} 字",
    "submit": "提交",
    "privacy": "本次调查只对您开放，只记录一次回答。我们不会在问卷中询问您的账号、密码或验证码。",
    "error_title": "请看一下标出的问题",
    "error_required": "请回答这个问题。",
    "error_rating": "请在 1 到 {scale} 之间选择。",
    "error_choice": "请从选项中选择一个。",
    "error_text": "文字太长了，请控制在 {max} 字以内。您写了 {length} 字。",
    "error_prefix": "请检查：",
    "thanks_title": "已收到，谢谢",
    "thanks_default": "您的回答已经保存。",
    "already_title": "您已经回答过了",
    "already": "我们已保存您之前的回答，谢谢。每份邀请只记录一次。",
    "closed_title": "本次调查已结束",
    "closed": "感谢您打开这份问卷。回答时间已过，我们没有记录任何内容。",
    "unknown_title": "找不到这个页面",
    "unknown": "链接不完整，或已经失效。请从原来的消息中重新打开，也可以致电 {hotline}。",
    "close_page": "您现在可以关闭此页面。",
    "contact": "如需帮助，请致电 {hotline}",
    "language": "语言",
    "channel_email": "电子邮件",
    "channel_sms": "短信",
    "channel_social": "社交媒体",
    "optout_title": "退订",
    "optout_topic_question": "您想停止接收什么？",
    "optout_topic": "只停止这一类{channel}",
    "optout_channel": "停止所有{channel}",
    "optout_channel_lead": "您将不再收到我们的{channel}。",
    "optout_note": "必要时，我们仍会通过其他方式向您发送与账户安全有关的通知。",
    "optout_submit": "确认退订",
    "optout_done_title": "退订成功",
    "optout_done_topic": "您不会再收到这一类{channel}。已在发送途中的消息可能仍会到达。",
    "optout_done_channel": "您不会再收到我们的{channel}。已在发送途中的消息可能仍会到达。",
    "optout_back": "想重新接收？请致电 {hotline}。",
    "preferences_title": "接收设置",
    "preferences_lead": "选择不再接收的方式。没有勾选的保持不变。",
    "preferences_off": "已停止",
    "preferences_stop": "停止{channel}",
    "preferences_submit": "保存",
    "preferences_done": "设置已保存。",
    "preferences_none": "我们没有您的电子邮件或手机号码。",
}
_EN: Mapping[str, str] = {
    "skip_link": "Skip to the questions",
    "optional": "optional",
    "text_hint": "At most {max} characters",
    "submit": "Send my answers",
    "privacy": "This survey is for you alone and can be answered once. "
    "We never ask for account numbers, passwords or codes.",
    "error_title": "Please look at the marked questions",
    "error_required": "Please answer this question.",
    "error_rating": "Please choose a number from 1 to {scale}.",
    "error_choice": "Please choose one of the options.",
    "error_text": "This text is too long: {length} characters. Please write at most {max}.",
    "error_prefix": "Please check: ",
    "thanks_title": "Received, thank you",
    "thanks_default": "Your answers are saved.",
    "already_title": "You have already answered",
    "already": "Your earlier answers are saved, thank you. Each invitation counts once.",
    "closed_title": "This survey has ended",
    "closed": "Thank you for opening it. The time to answer is over; nothing was recorded.",
    "unknown_title": "Page not found",
    "unknown": "The link is incomplete or no longer valid. Please open it again from our message, or call {hotline}.",
    "close_page": "You can close this page now.",
    "contact": "Need help? Call {hotline}",
    "language": "Language",
    "channel_email": "e-mails",
    "channel_sms": "text messages",
    "channel_social": "posts",
    "optout_title": "Unsubscribe",
    "optout_topic_question": "What would you like to stop?",
    "optout_topic": "Only {channel} of this kind",
    "optout_channel": "All {channel}",
    "optout_channel_lead": "You will get no more {channel} from us.",
    "optout_note": "If it has to be, we will still reach you in another way about the security of your account.",
    "optout_submit": "Unsubscribe",
    "optout_done_title": "You are unsubscribed",
    "optout_done_topic": "You will get no more {channel} of this kind. One already on its way may still arrive.",
    "optout_done_channel": "You will get no more {channel} from us. One already on its way may still arrive.",
    "optout_back": "Changed your mind? Call {hotline}.",
    "preferences_title": "How we reach you",
    "preferences_lead": "Tick what you no longer want. Everything else stays as it is.",
    "preferences_off": "stopped",
    "preferences_stop": "Stop {channel}",
    "preferences_submit": "Save",
    "preferences_done": "Your choice is saved.",
    "preferences_none": "We have neither an e-mail address nor a mobile number of yours.",
}
WORDS: Mapping[str, Mapping[str, str]] = {"zh-CN": _ZH, "en": _EN}


def choose_locale(*wanted: str | None, default: str) -> str:
    """The first wanted locale the pages speak, exactly or by its language; else the default, else English."""
    for name in (*wanted, default):
        for locale in WORDS:
            if name and (name == locale or name.replace("_", "-").split("-")[0].lower() == locale.split("-")[0]):
                return locale
    return "en"
