//! One executable. As `keeper` it holds a run; as `daemon --foreground` it is the daemon; as anything
//! else it asks the daemon.

#[cfg(windows)]
compile_error!(
    "wezterm-parallel needs Unix sockets and pseudo terminals: on Windows, build and run it in WSL"
);

fn main() {
    let mut args = std::env::args_os().skip(1);
    // before anything else: a keeper is started for every run, stays small, and must have one thread
    if args.next().is_some_and(|verb| verb == "keeper") {
        std::process::exit(wezterm_parallel_keeper::main(args));
    }
    std::process::exit(wezterm_parallel_client::main(wezterm_parallel_daemon::run));
}
