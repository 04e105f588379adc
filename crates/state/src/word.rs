//! Words of the vocabularies of `cc-events`, read back from a file that a newer program may have written.

use rusqlite::types::{FromSql, FromSqlResult, ValueRef};
use serde::de::{
    DeserializeOwned, IntoDeserializer,
    value::{Error, StrDeserializer},
};

/// A word as it stands in the database. One unknown word does not hide the row that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word<T> {
    Known(T),
    Unknown(String),
}

impl<T: Copy> Word<T> {
    /// The word, if this program knows it.
    #[must_use]
    pub fn known(&self) -> Option<T> {
        match self {
            Self::Known(word) => Some(*word),
            Self::Unknown(_) => None,
        }
    }
}

impl<T: DeserializeOwned> Word<T> {
    fn read(text: &str) -> Self {
        let deserializer: StrDeserializer<'_, Error> = text.into_deserializer();
        match T::deserialize(deserializer) {
            Ok(word) => Self::Known(word),
            Err(_) => Self::Unknown(text.to_owned()),
        }
    }
}

impl<T: DeserializeOwned> FromSql for Word<T> {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self::read(value.as_str()?))
    }
}
