"""What comes back from people: survey answers, satisfaction, clicks, opt-outs."""
