//! One executable. As `keeper` it holds a run; as `hook` and `statusline` it tells the daemon what Claude
//! tells it; as `relay` it carries what the plugin says;
//! as `mcp` it is what a supervised Claude asks by; as `daemon --foreground` it is the daemon; as
//! anything else it asks the daemon.

#[cfg(windows)]
compile_error!(
    "wezterm-parallel needs Unix sockets and pseudo terminals: on Windows, build and run it in WSL"
);

use wezterm_parallel_client::{hook, relay, statusline};

fn main() {
    let mut args = std::env::args_os().skip(1);
    // before anything else: a keeper is started for every run, stays small, and must have one thread;
    // the others are started by Claude or by WezTerm several times a turn, and they wait for them
    match args.next().as_ref().and_then(|verb| verb.to_str()) {
        Some("keeper") => std::process::exit(wezterm_parallel_keeper::main(args)),
        Some("mcp") => std::process::exit(wezterm_parallel_mcp::main(args)),
        Some("hook") => std::process::exit(hook::main(args)),
        Some("relay") => std::process::exit(relay::main(args)),
        Some("statusline") => std::process::exit(statusline::main(args)),
        _ => {}
    }
    std::process::exit(wezterm_parallel_client::main(wezterm_parallel_daemon::run));
}
