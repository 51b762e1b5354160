-- What is shown, and where. Neither table is in the journal: what a GUI is asked to do is soon over, and
-- how panes lie is told again whenever it changes.

CREATE TABLE intent (
    id   TEXT PRIMARY KEY,
    at   INTEGER NOT NULL,
    data TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE arrangement (
    workspace_id TEXT PRIMARY KEY,
    at           INTEGER NOT NULL,
    data         TEXT NOT NULL
) STRICT, WITHOUT ROWID;
