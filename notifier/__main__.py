"""`notifier` and `python -m notifier`."""

from notifier.cli.app import app


def main() -> None:
    """Runs the command line; exits with its code."""
    app()


if __name__ == "__main__":
    main()
