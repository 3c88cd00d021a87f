"""The demo: the starter pack on synthetic contacts, with a clock that can be moved and customers who answer."""

from notifier.demo.options import DemoOptions
from notifier.demo.run import run_demo

__all__ = ["DemoOptions", "run_demo"]
