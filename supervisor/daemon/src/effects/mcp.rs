//! The MCP server by which a Claude asks us: `--mcp-config FILE`. Claude takes several, so that the user's own
//! stay, and servers of other sources too.
//!
//! Seen with 2.1.330: a server of `--mcp-config` needs no approval; it gets the environment of Claude, and what
//! `env` says; with `--strict-mcp-config` it is there all the same. The option takes all words that follow, but
//! not if its value stands in the same word.

use std::path::PathBuf;

use serde_json::json;
use wezterm_parallel_schemas::{mcp::SERVER, places::STATE_DIR_VARIABLE};

use super::{claude, settings};

/// Where it goes, and what stands in it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The state directory, by which the server finds the daemon.
    pub state_dir: PathBuf,
    /// The executable that Claude runs.
    pub executable: PathBuf,
}

/// Writes the file and puts it on the command line.
///
/// # Errors
/// In words; the command line is as it was.
pub fn inject(command: &mut Vec<String>, place: &Place) -> Result<(), String> {
    let (Some(executable), Some(state)) = (place.executable.to_str(), place.state_dir.to_str()) else {
        return Err("the path of our executable or of the state directory is no text".into());
    };
    let file = place.file.to_str().ok_or("the path of the state directory is no text")?;
    let config = json!({ "mcpServers": { SERVER: {
        "type": "stdio", "command": executable, "args": ["mcp"], "env": { STATE_DIR_VARIABLE: state },
    } } });
    settings::write(&place.file, &config).map_err(|e| format!("cannot write {file}: {e}"))?;
    claude::add_options(command, [format!("--mcp-config={file}")]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_claude_gets_our_server_beside_those_of_its_user() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = Place {
            file: dir.path().join("settings/x.mcp.json"),
            state_dir: dir.path().join("state"),
            executable: "/opt/our own/wezterm-parallel".into(),
        };
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let mut line = words("claude --mcp-config mine.json other.json -- a prompt");
        inject(&mut line, &place).expect("injected");
        let ours = format!("--mcp-config={}", place.file.display());
        let expected = format!("claude --mcp-config mine.json other.json {ours} -- a prompt");
        assert_eq!(line, words(&expected));
        let written = std::fs::read(&place.file).expect("written");
        let written: Value = serde_json::from_slice(&written).expect("JSON");
        let server = &written["mcpServers"]["wezterm-parallel"];
        assert_eq!(server["command"], "/opt/our own/wezterm-parallel");
        assert_eq!(server["args"], json!(["mcp"]));
        assert_eq!(server["env"]["WEZTERM_PARALLEL_STATE_DIR"], json!(place.state_dir));
    }
}
