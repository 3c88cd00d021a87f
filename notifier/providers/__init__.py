"""The border to those who carry our messages: one file or folder per provider, both ways."""
