"""SQL that several statements must share, so that they never decide differently."""

ACKNOWLEDGED = "v.kind IN ('clicked', 'answered') AND v.source <> 'machine'"
"""An event `v` by which a contact shows that a message was seen; what machines fetch says nothing."""

EXPIRED_IN_DOUBT = """(m.state = 'expired' AND EXISTS (SELECT 1 FROM notifier.events x
    WHERE x.run_id = m.run_id AND x.message_id = m.id AND x.kind = 'uncertain'))"""
"""Whether a message `m` expired after a hand-over nobody knows the end of: it may have arrived."""

FIRST_WAY = """
    CROSS JOIN LATERAL (
        SELECT w.channel FROM unnest({channels}::text[]) WITH ORDINALITY AS w(channel, rank)
        LEFT JOIN notifier.addresses f ON f.contact_id = c.id AND f.channel = w.channel
        LEFT JOIN notifier.suppressions u ON u.team_id = {team} AND u.address_key = f.address_key
        LEFT JOIN notifier.consent_states o ON o.contact_id = c.id AND o.channel = w.channel AND o.topic = ''
        LEFT JOIN notifier.consent_states t ON t.contact_id = c.id AND t.channel = w.channel AND t.topic = step.topic
            AND step.topic <> ''
        ORDER BY f.address IS NULL OR u.reason IS NOT NULL OR o.act IS NOT DISTINCT FROM 'opt-out'
            OR step.consent <> 'obeys-channel-stop' AND t.act IS NOT DISTINCT FROM 'opt-out'
            OR step.consent = 'needs-opt-in' AND o.act IS DISTINCT FROM 'opt-in' AND t.act IS DISTINCT FROM 'opt-in',
            f.address IS NULL, w.rank LIMIT 1) AS way
    LEFT JOIN notifier.addresses a ON a.contact_id = c.id AND a.channel = way.channel
"""
"""Of the channels the first by which a message of `step` can reach contact `c` now, with its address `a`."""

_PAUSES = """2 ^ (SELECT least(greatest(count(*), 1), 11) - 1 FROM notifier.events x
    WHERE x.run_id = m.run_id AND x.message_id = m.id AND x.kind = 'uncertain')"""
RESEND_AT = f"""(m.changed_at + CASE s.in_doubt
    WHEN 'resend' THEN least(interval '10 s' * {_PAUSES}, interval '5 min')
    ELSE {{patience}}::interval * {_PAUSES} END)"""
"""When a message `m` in doubt may go again.

Each time may have reached the contact, so every doubt doubles the pause. An emergency waits 5 minutes at
most: there a second copy is the smaller harm.
"""

SET_ASIDE = "(m.state = 'failed' AND m.reason ~ '^(set aside|not rendered): ')"
"""Whether a message `m` failed by what the house itself could not do; a person may give it another chance."""

RESENT = "m.contact_id IS NOT NULL AND s.in_doubt IN ('resend', 'reconcile-then-resend')"
"""Whether a message `m` of step `s` in doubt goes again by itself; the others wait for a person."""

GATE = "7320301, 0"
"""The advisory lock that every claim shares, beside that of its run."""

_IN_FORCE = "x.lifted_at IS NULL AND x.team_id = r.team_id AND NOT (x.spares_emergencies AND {lane} = 1)"
STOPPED = f"""EXISTS (SELECT 1 FROM notifier.stops x WHERE {_IN_FORCE}
    AND (x.scope = 'everything' OR x.scope = 'campaign' AND x.which = r.campaign_key))"""
"""Whether a stop above it holds all messages of run `r` in a lane."""

STOPPED_CHANNELS = f"ARRAY(SELECT x.which FROM notifier.stops x WHERE {_IN_FORCE} AND x.scope = 'channel')"
"""The channels that a stop holds for run `r` in a lane."""

HAS_FREE = """(held.channels = '{}' OR EXISTS (
    SELECT 1 FROM notifier.tallies t WHERE t.run_id = r.id AND t.state = 'queued' AND t.channel <> ALL (held.channels)
    HAVING sum(t.delta) > 0))"""
"""Whether run `r` has anything queued but what stops of the channels `held` hold: or each look reads through it all."""

FREE = f"NOT {STOPPED.format(lane='m.lane')} AND m.channel <> ALL ({STOPPED_CHANNELS.format(lane='m.lane')})"
"""Whether no stop above its run `r` holds a message `m`."""
