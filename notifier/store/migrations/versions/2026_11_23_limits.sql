-- Accounts that are given nothing for now.

-- One row while an account pauses. By real time, as leases are.
CREATE TABLE notifier.paused_accounts (
    team_id int NOT NULL CONSTRAINT paused_accounts_team REFERENCES notifier.teams,
    account text NOT NULL,
    cause text NOT NULL CONSTRAINT paused_accounts_cause CHECK (cause IN ('provider', 'sender')),
    reason text NOT NULL,
    code text NOT NULL DEFAULT '',
    paused_at timestamptz NOT NULL DEFAULT now(),
    probe_at timestamptz NOT NULL,   -- from then on one worker may try one message
    probes int NOT NULL DEFAULT 0,
    told_at timestamptz,             -- the alarm was written; a provider's outage raises none
    CONSTRAINT paused_accounts_pk PRIMARY KEY (team_id, account)
);
