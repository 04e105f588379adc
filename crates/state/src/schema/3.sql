-- What a task's end says beside its verdict, as JSON; null: nothing.
ALTER TABLE task ADD COLUMN warnings TEXT;                      -- what a person should know
ALTER TABLE task ADD COLUMN claude TEXT;                        -- what a Claude stream says of the CLI
