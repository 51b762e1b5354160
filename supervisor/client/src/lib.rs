//! What people use: the command line, `attach`, `doctor`. It asks the daemon and shows what it says;
//! it decides nothing, and keeps nothing.
//!
//! In reading order: what can be asked, how a command is carried out, the way to the daemon, what a
//! person sees.

#[cfg(windows)]
compile_error!(
    "wezterm-parallel needs Unix sockets and pseudo terminals: on Windows, build and run it in WSL"
);

pub mod arguments;
mod key;
mod target;

mod adopt;
mod app;
mod attach;
mod claude;
mod config;
mod daemon;
mod dashboard;
mod doctor;
mod events;
mod executable;
mod explain;
mod group;
mod gui;
pub mod hook;
mod inbox;
mod layout;
pub mod lease;
mod limit;
mod logs;
mod process;
mod project;
mod prompt;
pub mod relay;
mod session;
mod status;
pub mod statusline;
mod stop;
mod task;
mod uninstall;
mod unit;
mod up;
mod wezterm;
mod workspace;

pub mod connection;
pub mod failure;

mod os;
mod output;
mod program;
mod signals;
mod table;
mod time;
mod view;

use clap::{CommandFactory, Parser};
use wezterm_parallel_schemas::places::Places;

use crate::{
    app::App,
    arguments::{Arguments, Verb},
    failure::{Failure, Outcome},
};

/// Carries out the command line of this program and gives the exit code: 0 done, 1 failed, 2 wrong
/// usage, 3 no daemon; that of a task that is waited for. `serve` is the daemon, for `daemon --foreground`: it serves until it is stopped,
/// and gives an exit code too.
pub fn main(serve: fn(Places) -> i32) -> i32 {
    // clap ends the program by itself with 2, or with 0 after --help
    let arguments = Arguments::parse();
    match run(&arguments, serve) {
        Ok(code) => code,
        Err(Failure { unread: true, .. }) => 0,
        Err(failure) => {
            output::failure(&failure);
            failure.exit as i32
        }
    }
}

fn run(arguments: &Arguments, serve: fn(Places) -> i32) -> Outcome<i32> {
    if let Verb::Completions { shell } = &arguments.verb {
        let mut text = Vec::new();
        clap_complete::generate(*shell, &mut Arguments::command(), "wezterm-parallel", &mut text);
        return output::print(String::from_utf8_lossy(&text)).map(|()| 0);
    }
    let app = App::new(arguments.json)?;
    let done = match &arguments.verb {
        Verb::Daemon(args) => return daemon::run(&app, args, serve),
        Verb::Up(args) => up::run(&app, args),
        Verb::Stop(args) => stop::run(&app, args),
        Verb::Dashboard(args) => dashboard::run(&app, args),
        Verb::Status => status::run(&app),
        Verb::Workspace(verb) => workspace::run(&app, verb),
        Verb::Process(verb) => process::run(&app, verb),
        Verb::Session(verb) => session::run(&app, verb),
        Verb::Task(verb) => return task::run(&app, verb),
        Verb::Group(verb) => group::run(&app, verb),
        Verb::Layout(verb) => layout::run(&app, verb),
        Verb::Project(verb) => project::run(&app, verb),
        Verb::Lease(arguments::Lease::Run(args)) => return lease::hold(&app, args),
        Verb::Lease(verb) => lease::run(&app, verb),
        Verb::Limit(verb) => limit::run(&app, verb),
        Verb::Prompt(verb) => prompt::run(&app, verb),
        Verb::Inbox(verb) => inbox::run(&app, verb),
        Verb::Gui(verb) => gui::run(&app, verb),
        Verb::Config(verb) => config::run(&app, verb),
        Verb::Events(args) => events::run(&app, args),
        Verb::Doctor => doctor::run(&app),
        Verb::Uninstall(args) => uninstall::run(&app, args),
        Verb::Attach(args) => attach::run(&app, args),
        Verb::Logs(args) => logs::run(&app, args),
        Verb::Completions { .. } => Ok(()),
    };
    done.map(|()| 0)
}
