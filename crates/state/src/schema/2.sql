-- The name of the token with which a session, a task or a batch was made; null: no token was needed. It is no
-- reference: a token can be renamed or removed while what it made stays.
ALTER TABLE session ADD COLUMN token TEXT;
ALTER TABLE task ADD COLUMN token TEXT;

CREATE INDEX task_of_token ON task (token, number) WHERE token IS NOT NULL;

-- An idempotency key is a token's own: the key of another one must not show that its batch exists.
CREATE TABLE new_batch (
    number INTEGER PRIMARY KEY,                                 -- the order of submission, whatever the clock did
    id TEXT NOT NULL UNIQUE,
    idempotency_key TEXT,
    plan_hash BLOB NOT NULL CHECK (length(plan_hash) = 32),     -- SHA-256 of the plan as it was submitted
    plan TEXT NOT NULL,
    head TEXT NOT NULL,                                         -- the state of what belongs to no task
    submitted_ms INTEGER NOT NULL,
    over_ms INTEGER,                                            -- null: not over
    token TEXT
) STRICT;
INSERT INTO new_batch
    SELECT number, id, idempotency_key, plan_hash, plan, head, submitted_ms, over_ms, NULL FROM batch;
DROP TABLE batch;
ALTER TABLE new_batch RENAME TO batch;
CREATE INDEX batch_open ON batch (number) WHERE over_ms IS NULL;
CREATE INDEX batch_over ON batch (over_ms) WHERE over_ms IS NOT NULL;
CREATE INDEX batch_of_token ON batch (token, number) WHERE token IS NOT NULL;
CREATE UNIQUE INDEX batch_key ON batch (ifnull(token, ''), idempotency_key) WHERE idempotency_key IS NOT NULL;

-- What the tasks of each token have cost, by the day (UTC) on which they ended. Kept when their logs are removed.
CREATE TABLE spending (
    token TEXT NOT NULL,
    day INTEGER NOT NULL,                                       -- since the Unix epoch
    usd REAL NOT NULL,
    PRIMARY KEY (token, day)
) STRICT, WITHOUT ROWID;
