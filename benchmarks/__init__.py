"""`make bench`: how fast the house sends, plans and imports, beside what the machine can do at all."""
