-- What is said to agents, what they ask, and what they use up. None of these tables is in the journal:
-- a prompt and a request are records of what happened, and an account is a sum that Claude tells again.

CREATE TABLE prompt (
    id         TEXT PRIMARY KEY,
    process_id TEXT NOT NULL,
    state      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    -- all of it; `data` has its beginning
    text       TEXT NOT NULL,
    data       TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX prompt_by_state ON prompt (state, at);
CREATE INDEX prompt_of_process ON prompt (process_id);

-- Kept when its process goes: who allowed what must be known for longer than that.
CREATE TABLE ask (
    id    TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    at    INTEGER NOT NULL,
    data  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX ask_by_state ON ask (state, at);
CREATE INDEX ask_by_age ON ask (at);

CREATE TABLE account (
    account TEXT PRIMARY KEY,
    data    TEXT NOT NULL
) STRICT, WITHOUT ROWID;
