//! The shape of this repository is held by `tests/tidy`; there is nothing here.
