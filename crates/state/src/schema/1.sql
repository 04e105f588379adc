-- Times are milliseconds since the Unix epoch; ids are uuids in text form. Words of the vocabularies (reason,
-- verdict, containment) have no CHECK: a newer program may write one that this schema has not heard of.

-- A client's standing. A closed one stays as a tombstone for a while, so that a client that comes too late hears
-- "closed" and not "unknown".
CREATE TABLE session (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash BLOB NOT NULL CHECK (length(token_hash) = 32),   -- SHA-256 of the resume token
    begun_ms INTEGER NOT NULL,
    disconnected_ms INTEGER,                                    -- null: has a connection
    closed_ms INTEGER                                           -- null: can be resumed
) STRICT, WITHOUT ROWID;

CREATE INDEX session_open ON session (begun_ms) WHERE closed_ms IS NULL;

-- A task, from its acceptance until retention removes its log.
CREATE TABLE task (
    number INTEGER PRIMARY KEY,                                 -- the order of acceptance, whatever the clock did
    id TEXT NOT NULL UNIQUE,
    session_id TEXT REFERENCES session (id),                    -- null: detached
    label TEXT,
    command TEXT NOT NULL,                                      -- shortened, for people
    accepted_ms INTEGER NOT NULL,
    is_claude INTEGER NOT NULL CHECK (is_claude IN (0, 1)),
    is_prompt INTEGER NOT NULL CHECK (is_prompt IN (0, 1)),
    leaf BLOB,                                                  -- path of its cgroup; paths need not be UTF-8
    deadlines TEXT,                                             -- the clocks of its spec, as JSON

    -- Its start.
    started_ms INTEGER,
    pid INTEGER,
    worker_pid INTEGER,
    containment TEXT,

    -- Its end.
    ended_ms INTEGER,
    reason TEXT,
    verdict TEXT,
    exit_code INTEGER,
    signal INTEGER,
    error TEXT,
    duration_ms INTEGER,
    cpu_ms INTEGER,
    max_rss_bytes INTEGER,
    output_lines INTEGER,
    output_bytes INTEGER,
    dropped_lines INTEGER,
    dropped_bytes INTEGER,
    truncated_lines INTEGER,
    killed_leftovers INTEGER,
    unkillable INTEGER,
    last_seq INTEGER,
    log_bytes INTEGER,

    CHECK (started_ms IS NULL OR (pid + worker_pid IS NOT NULL AND containment IS NOT NULL)),
    CHECK (
        ended_ms IS NULL
        OR (
            reason IS NOT NULL AND verdict IS NOT NULL AND exit_code IS NOT NULL
            AND duration_ms IS NOT NULL AND cpu_ms IS NOT NULL AND max_rss_bytes IS NOT NULL
            AND output_lines IS NOT NULL AND output_bytes IS NOT NULL
            AND dropped_lines IS NOT NULL AND dropped_bytes IS NOT NULL AND truncated_lines IS NOT NULL
            AND killed_leftovers IS NOT NULL AND unkillable IS NOT NULL
            AND last_seq IS NOT NULL AND log_bytes IS NOT NULL
        )
    )
) STRICT;

CREATE INDEX task_of_session ON task (session_id, number) WHERE session_id IS NOT NULL;
CREATE INDEX task_unfinished ON task (number) WHERE ended_ms IS NULL;
-- Retention reads the sums, and the oldest ends, from this index alone.
CREATE INDEX task_ended ON task (ended_ms, number, log_bytes) WHERE ended_ms IS NOT NULL;

-- The last result line of a Claude task, without its text: that stays in the log.
CREATE TABLE result (
    task INTEGER PRIMARY KEY REFERENCES task (number) ON DELETE CASCADE,
    is_error INTEGER NOT NULL CHECK (is_error IN (0, 1)),
    cost_usd REAL,
    turns INTEGER,
    claude_session_id TEXT
) STRICT;
