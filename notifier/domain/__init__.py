"""The words and rules of the trade: pure, without I/O, clock or settings."""
