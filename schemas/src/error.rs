//! Errors as clients see them: a stable code, what went wrong, and what to do.

use std::{borrow::Cow, fmt};

use schemars::JsonSchema;
use serde::{
    Deserialize, Serialize,
    de::value::{Error as ValueError, StrDeserializer},
};

/// The stable names of errors. Appended to, never renamed, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Code {
    /// The frame is not a MessagePack-RPC message, or breaks a limit. The connection ends.
    BadFrame,
    /// The first call was not `hello`, or no common protocol version exists.
    BadHello,
    /// There is no method of this name.
    UnknownMethod,
    /// The parameters do not fit the method.
    BadParams,
    /// The thing named does not exist.
    NotFound,
    /// A thing of this name exists already.
    Exists,
    /// A name holds characters that it may not.
    BadName,
    /// The state of the thing does not allow this now.
    Conflict,
    /// It belongs to the config file: edit that instead.
    ManagedByConfig,
    /// The config is not valid.
    BadConfig,
    /// The program to run is not there.
    ProgramMissing,
    /// The directory is not there.
    CwdMissing,
    /// The effect did not come in time. It may still come.
    Timeout,
    /// Too much is asked at once; try again later.
    Busy,
    /// The daemon is shutting down.
    ShuttingDown,
    /// The disk is full or refuses writing.
    Storage,
    /// The caller may not do this.
    Forbidden,
    /// A prompt did not reach its agent, and will not.
    Undelivered,
    /// A fault of ours; the log has more.
    Internal,
    /// No daemon answers. Said by `wezterm-parallel relay`, since nobody else can.
    NoDaemon,
    /// A code of a newer release.
    #[serde(other)]
    Unknown,
}

/// What every failed call returns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Error {
    /// The stable name.
    pub code: Code,
    /// What went wrong, in lower case, so that it reads after "failed to …:".
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Error {
    /// An error without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }
    /// The same error with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// One line for people: `code: message (hint)`.
    pub fn line(&self) -> String {
        let code = self.code.name();
        match &self.hint {
            Some(hint) => format!("{code}: {} ({hint})", self.message),
            None => format!("{code}: {}", self.message),
        }
    }
    /// Reads such a line back. What it cannot take apart becomes the message of an error of
    /// [`Code::Unknown`]; parentheses that end a message are taken for its hint.
    pub fn from_line(line: &str) -> Self {
        let known = line.split_once(": ").and_then(|(name, rest)| Some((Code::from_name(name)?, rest)));
        let (code, rest) = known.unwrap_or((Code::Unknown, line));
        match split_hint(rest) {
            Some((message, hint)) => Self::new(code, message).hint(hint),
            None => Self::new(code, rest),
        }
    }
}

impl Code {
    /// The code of this name; none for one of a newer release.
    pub fn from_name(name: &str) -> Option<Self> {
        let name = StrDeserializer::<ValueError>::new(name);
        Self::deserialize(name).ok().filter(|code| *code != Self::Unknown)
    }
    /// The code as it stands on the wire.
    pub fn name(self) -> Cow<'static, str> {
        let debug = format!("{self:?}");
        let mut s = String::with_capacity(debug.len() + 4);
        for (i, c) in debug.chars().enumerate() {
            if c.is_ascii_uppercase() && i > 0 {
                s.push('_');
            }
            s.push(c.to_ascii_lowercase());
        }
        s.into()
    }
}

/// Takes the last parentheses off, with what they hold.
fn split_hint(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_suffix(')')?;
    let mut open = 1;
    let start = inside.rfind(|c| {
        open += i32::from(c == ')') - i32::from(c == '(');
        open == 0
    })?;
    Some((inside[..start].strip_suffix(' ')?, &inside[start + 1..]))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_has_the_same_name_in_text_and_on_the_wire() {
        for code in [Code::BadFrame, Code::ManagedByConfig, Code::NotFound, Code::Internal] {
            assert_eq!(serde_json::to_value(code).expect("json"), *code.name());
        }
    }

    #[test]
    fn a_line_reads_back_as_the_error_that_it_was() {
        let plain = Error::new(Code::NotFound, "no process `lead`: there is none (yet) here");
        for error in [
            plain.clone(),
            plain.clone().hint("run `up`"),
            plain.clone().hint("run `up` (or f(x))"),
            Error::new(Code::Internal, "").hint(""),
        ] {
            assert_eq!(Error::from_line(&error.line()), error);
        }
        for strange in ["", "boom", "boom: it fell", "unknown: x", ")", "(", "a)b", "(hint)", "boom ))"] {
            let error = Error::from_line(strange);
            assert_eq!(error.code, Code::Unknown, "{strange}");
            assert!(
                !error.message.is_empty() || strange.is_empty() || strange.starts_with("unknown"),
                "{strange}"
            );
        }
    }

    #[test]
    fn a_code_of_a_newer_release_is_understood_as_unknown() {
        let e: Error = serde_json::from_str(r#"{"code":"too_new","message":"m"}"#).expect("an error");
        assert_eq!(e.code, Code::Unknown);
    }
}
