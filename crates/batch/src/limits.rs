//! Every limit and default of a batch, in one place.

/// Most tasks of a batch.
pub const TASKS_LIMIT: usize = 10_000;
/// Longest prompt, bytes: 10 MB.
pub const PROMPT_BYTES_LIMIT: usize = 10_000_000;
/// Longest single argument or variable of a program (`NAME=value`), bytes: `MAX_ARG_STRLEN` of Linux without the NUL
/// at its end. A line for a shell is one argument.
pub const ARGUMENT_BYTES_LIMIT: usize = 131_071;
/// All arguments of a program and the variables that its task adds, bytes, each with its end and its pointer. Linux
/// takes a quarter of the stack's limit, which is 2 MiB by default; what is left is for the rest of the environment.
pub const ARGUMENTS_BYTES_LIMIT: usize = 2_000_000;
/// Longest name of a task or a batch, characters.
pub const NAME_CHARS_LIMIT: usize = 100;
pub const IDEMPOTENCY_KEY_BYTES_LIMIT: usize = 200;
/// Most tasks of a batch that are under way at once: as many as a supervisor runs by default.
pub const JOBS_LIMIT: u32 = 200;
/// Most mistakes that are collected; the others are counted.
pub const MISTAKES_LIMIT: usize = 1_000;
/// Most tasks that one task may name in `needs`.
pub const NEEDS_LIMIT: usize = 1_000;

/// Retries of a task after a transient failure, unless it says otherwise.
pub const RETRIES_DEFAULT: u32 = 2;
/// Most retries that a task may ask for.
pub const RETRIES_LIMIT: u32 = 100;
/// Most waits for a limit of one task. With the longest wait without a reset time these are six
/// weeks; after them the refusal is the task's verdict.
pub const WAITS_LIMIT: u32 = 1_000;

/// The window of the first backoff, ms; it doubles with each attempt.
pub const BACKOFF_FIRST_MS: u64 = 5_000;
/// The widest window of a backoff, ms.
pub const BACKOFF_LONGEST_MS: u64 = 5 * 60_000;
/// Shortest wait before anything is tried again, ms.
pub const WAIT_SHORTEST_MS: u64 = 1_000;
/// Longest wait for a limit, ms: a weekly limit, and a day for clocks that differ.
pub const WAIT_LONGEST_MS: u64 = 8 * 86_400_000;
/// First wait for a limit that does not say when it ends, ms; it doubles with each.
pub const WAIT_UNKNOWN_FIRST_MS: u64 = 5 * 60_000;
/// Longest wait for a limit that does not say when it ends, ms.
pub const WAIT_UNKNOWN_LONGEST_MS: u64 = 60 * 60_000;
/// Most that is added to a wait for a limit, ms, so that not all tasks come at once.
pub const WAIT_JITTER_MS: u64 = 30_000;

/// Timeout of a hook that names none, seconds.
pub const HOOK_TIMEOUT_S_DEFAULT: f64 = 60.0;
/// Longest timeout of a hook, seconds.
pub const HOOK_TIMEOUT_S_LIMIT: f64 = 3_600.0;

/// Least time between two starts with one credential while another task of it runs, ms.
pub const STAGGER_MS: u64 = 2_000;
/// What is added to [`STAGGER_MS`] at most, ms.
pub const STAGGER_JITTER_MS: u64 = 1_000;
/// Claude tasks with one credential that run at once, over all batches, unless configured.
pub const CREDENTIAL_JOBS_DEFAULT: u32 = 4;
/// After a limit has ended one task begins; the others wait for its end, but at most for this time, ms.
pub const PROBE_MS: u64 = 30_000;

/// So many refusals of the credentials in a row, as the CLI reports them while it tries again, mean that it will not
/// get over them. A single one may be a lost race for a token that another CLI has just renewed.
pub const AUTH_REFUSALS_LIMIT: u32 = 3;
/// So many tasks in a row that end alike without a turn halt the batch.
pub const ALIKE_LIMIT: u32 = 3;

/// For so long tasks wait altogether for what the machine lacks, or for an agent's program that has gone, ms. Then the
/// batch stops.
pub const UNAVAILABLE_LONGEST_MS: u64 = 20 * 60_000;
/// Longest single wait for that, ms.
pub const UNAVAILABLE_WAIT_LONGEST_MS: u64 = 60_000;
