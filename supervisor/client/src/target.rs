//! `[WORKSPACE/]PROCESS`: how a process is named on the command line.

use std::{fmt, str::FromStr};

use wezterm_parallel_schemas::process::{ProcessStop, ProcessTarget};

/// A process, with its workspace where the name alone does not say. Ids do without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    workspace: Option<String>,
    process: String,
}

impl Target {
    /// The process `name` of `workspace`.
    pub fn new(workspace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { workspace: Some(workspace.into()), process: name.into() }
    }
    /// As most calls take it.
    pub fn params(&self) -> ProcessTarget {
        ProcessTarget { workspace: self.workspace.clone(), process: self.process.clone(), key: None }
    }
    /// As the calls take it that end a run.
    pub fn stop_params(&self, now: bool) -> ProcessStop {
        ProcessStop { workspace: self.workspace.clone(), process: self.process.clone(), now, key: None }
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let (workspace, process) = match s.split_once('/') {
            Some((workspace, process)) => (Some(workspace), process),
            None => (None, s),
        };
        if process.is_empty() || workspace == Some("") || process.contains('/') {
            return Err("write PROCESS or WORKSPACE/PROCESS, as in `api/lead`".into());
        }
        Ok(Self { workspace: workspace.map(Into::into), process: process.into() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.workspace {
            Some(workspace) => write!(f, "{workspace}/{}", self.process),
            None => f.write_str(&self.process),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_named_alone_or_with_its_workspace() {
        for (text, workspace, process) in [
            ("lead", None, "lead"),
            ("api/lead", Some("api"), "lead"),
            ("my app/テスト", Some("my app"), "テスト"),
        ] {
            let target: Target = text.parse().expect(text);
            assert_eq!((target.workspace.as_deref(), target.process.as_str()), (workspace, process));
            assert_eq!(target.to_string(), text);
        }
    }

    #[test]
    fn half_a_name_is_refused() {
        for text in ["", "/", "/lead", "api/", "api/lead/more"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
