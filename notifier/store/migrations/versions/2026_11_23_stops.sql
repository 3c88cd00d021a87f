-- Stops above a run: a campaign, a channel, everything; undo windows; automatic pauses.
SELECT 1;
