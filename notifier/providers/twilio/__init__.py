"""SMS through Twilio: its SDK's client over our own bounded HTTP, its callbacks in our words."""

from notifier.providers.twilio.provider import TWILIO, Twilio, TwilioSettings

__all__ = ["TWILIO", "Twilio", "TwilioSettings"]
