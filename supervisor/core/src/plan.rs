//! What a new config changes, compared with what is meant to be there now.
