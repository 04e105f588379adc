//! The settings of the supervisor: one table in code, [`table`].
//!
//! The command line, the configuration file, its check and `docs/configuration.md` all come from that table. A new
//! setting is one entry there and one line where [`crate::config::Config`] is put together.

/// The words of the settings that choose between a few.
pub(crate) mod choices;
/// What a kind of value is.
pub(crate) mod kind;
/// The kinds that are numbers.
pub(crate) mod numbers;
/// What one setting is, whatever its type.
pub(crate) mod setting;
/// Every setting, with its default, its limits, its environment variable and its help text.
pub(crate) mod table;
/// The kinds that are texts.
pub(crate) mod texts;
