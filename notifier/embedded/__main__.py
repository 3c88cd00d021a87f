"""Runs the keeper of one data folder; started by `embedded_services`, not by people."""

import sys

from notifier.domain.errors import NotifierError
from notifier.embedded.keeper import main, say

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except NotifierError as problem:
        say(str(problem))
        sys.exit(1)
