//! The peers: programs that keep other programs running. Each is started in a place of its own, as its
//! manual says, and told to keep a number of programs. One that is not installed is left out.

use std::{fs, path::PathBuf, process::Command};

use crate::{
    failure::{Context, Try, failed},
    place::{self, Living, Place, find_program, wait_for},
    terminal::{COLS, ROWS, Terminal},
};

/// A program that keeps others running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A terminal multiplexer.
    Tmux,
    /// A queue of commands with a daemon.
    Pueue,
    /// The process supervisor written in Python.
    Supervisor,
    /// The process supervisor written for Node.
    Pm2,
    /// A terminal program that shows several others.
    Mprocs,
}

impl Peer {
    /// All there are, in the order of the table.
    pub const ALL: [Self; 5] = [Self::Tmux, Self::Pueue, Self::Supervisor, Self::Pm2, Self::Mprocs];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tmux => "tmux",
            Self::Pueue => "pueue",
            Self::Supervisor => "supervisor",
            Self::Pm2 => "pm2",
            Self::Mprocs => "mprocs",
        }
    }

    /// Whether it starts a program again that was killed.
    pub fn restarts(self) -> bool {
        match self {
            // a queue: what was killed has failed
            Self::Pueue => false,
            Self::Tmux | Self::Supervisor | Self::Pm2 | Self::Mprocs => true,
        }
    }

    /// What it prints as its version; none if it is not installed.
    pub fn version(self) -> Option<String> {
        let (program, argument) = match self {
            Self::Tmux => ("tmux", "-V"),
            Self::Pueue => ("pueued", "--version"),
            Self::Supervisor => ("supervisord", "--version"),
            Self::Pm2 => ("pm2", "--version"),
            Self::Mprocs => ("mprocs", "--version"),
        };
        find_program(program)?;
        // a place of its own, since even this starts a daemon with some
        let place = Place::new().ok()?;
        let text = place::output(place.command(program).arg(argument)).ok()?;
        let word = text.split_whitespace().last().unwrap_or("of an unknown version");
        Some(format!("{} {word}", self.name()))
    }

    /// Starts it and has it keep `count` programs. Whoever calls waits until these run.
    pub fn start(self, place: Place, count: usize, program: &[String]) -> Try<Fleet> {
        let mut fleet = Fleet { peer: self, terminal: None, place };
        match self {
            Self::Tmux => fleet.start_tmux(count, program),
            Self::Pueue => fleet.start_pueue(count, program),
            Self::Supervisor => fleet.start_supervisor(count, program),
            Self::Pm2 => fleet.start_pm2(count, program),
            Self::Mprocs => fleet.start_mprocs(count, program),
        }?;
        Ok(fleet)
    }
}

/// A peer at work. It and what it keeps end with this.
pub struct Fleet {
    peer: Peer,
    /// Where a peer runs that wants a terminal.
    terminal: Option<Terminal>,
    place: Place,
}

impl Fleet {
    /// Process ids of the peer itself, without what it keeps.
    pub fn pids(&self) -> Try<Vec<i32>> {
        let pids: Vec<_> = self.place.living().iter().filter(|p| self.is_part(p)).map(|p| p.pid).collect();
        if pids.is_empty() { Err(failed(format!("{} has ended", self.peer.name()))) } else { Ok(pids) }
    }

    /// Waits until `count` programs run that are called `name`.
    pub fn wait_programs(&self, name: &str, count: usize) -> Try<()> {
        wait_for(&format!("{count} × {name} under {}", self.peer.name()), || {
            Ok((self.place.living().iter().filter(|p| p.runs(name)).count() >= count).then_some(()))
        })
    }

    /// The command that shows how everything stands.
    pub fn status(&self) -> Command {
        match self.peer {
            Peer::Tmux => self.tmux(&["list-sessions"]),
            Peer::Pueue => self.with("pueue", &["status"]),
            Peer::Supervisor => {
                self.with("supervisorctl", &["-c", &self.place.text("supervisord.conf"), "status"])
            }
            Peer::Pm2 => self.with("pm2", &["list"]),
            // it has none; this is the smallest thing that it can be asked
            Peer::Mprocs => self
                .with("mprocs", &["--server", &self.mprocs_address(), "--ctl", "{c: select-proc, index: 0}"]),
        }
    }

    /// A tmux command. Only for [`Peer::Tmux`].
    pub fn tmux(&self, args: &[&str]) -> Command {
        let mut command = self.place.command("tmux");
        command.args(["-S", &self.place.text("tmux.sock"), "-f", &self.place.text("tmux.conf")]).args(args);
        command
    }

    /// Starts by hand what it did not start again.
    pub fn start_again(&self) -> Try<()> {
        match self.peer {
            // of some kills it learns too late that the terminal is closed, and runs no hook
            Peer::Tmux => place::run(&mut self.tmux(&["respawn-pane", "-k", "-t", "bench:"])).map(drop),
            Peer::Pueue | Peer::Supervisor | Peer::Pm2 | Peer::Mprocs => {
                Err(failed("a kill was not followed by a start"))
            }
        }
    }

    /// Some end by themselves faster than by being killed; all leave nothing behind, which the place sees to.
    pub fn stop(mut self) {
        self.terminal = None;
    }

    fn is_part(&self, process: &Living) -> bool {
        match self.peer {
            Peer::Tmux => process.runs("tmux"),
            Peer::Pueue => process.runs("pueued"),
            // python is what runs
            Peer::Supervisor => process.args.iter().any(|a| a.ends_with("/supervisord")),
            Peer::Pm2 => process.args[0].starts_with("PM2"),
            Peer::Mprocs => process.runs("mprocs"),
        }
    }

    /// A command of it.
    pub fn with(&self, program: &str, args: &[&str]) -> Command {
        let mut command = self.place.command(program);
        command.args(args);
        command
    }

    fn write(&self, name: &str, text: &str) -> Try<PathBuf> {
        let path = self.place.path(name);
        fs::write(&path, text).failed_to(format!("write {name}"))?;
        Ok(path)
    }

    fn start_tmux(&self, count: usize, program: &[String]) -> Try<()> {
        self.write(
            "tmux.conf",
            // a pane whose program ended is started again; as much history as our keepers hold, about
            "set -g remain-on-exit on\nset-hook -g pane-died respawn-pane\nset -g status off\n\
             set -g default-terminal tmux-256color\nset -g history-limit 10000\n",
        )?;
        let (cols, rows) = (COLS.to_string(), ROWS.to_string());
        for n in 0..count {
            let name = format!("p{n}");
            let first = ["new-session", "-d", "-x", &cols, "-y", &rows, "-s", "bench", "-n", &name];
            let further = ["new-window", "-d", "-t", "bench:", "-n", &name];
            let verb: &[&str] = if n == 0 { &first } else { &further };
            place::run(self.tmux(verb).args(program))?;
        }
        Ok(())
    }

    fn start_pueue(&self, count: usize, program: &[String]) -> Try<()> {
        place::run(&mut self.with("pueued", &["--daemonize"]))?;
        wait_for("pueued's answer", || Ok(self.status().status().is_ok_and(|s| s.success()).then_some(())))?;
        place::run(&mut self.with("pueue", &["parallel", &count.to_string()]))?;
        for _ in 0..count {
            place::run(self.with("pueue", &["add", "--"]).args(program))?;
        }
        Ok(())
    }

    fn start_supervisor(&self, count: usize, program: &[String]) -> Try<()> {
        let (socket, dir) = (self.place.text("supervisor.sock"), self.place.text("work"));
        let config = self.write(
            "supervisord.conf",
            &format!(
                "[unix_http_server]\nfile={socket}\n\
                 [supervisord]\nlogfile={dir}/supervisord.log\npidfile={dir}/supervisord.pid\nchildlogdir={dir}\n\
                 [rpcinterface:supervisor]\n\
                 supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\
                 [supervisorctl]\nserverurl=unix://{socket}\n\
                 [program:bench]\ncommand={}\nnumprocs={count}\nprocess_name=p%(process_num)d\n\
                 autorestart=true\nstartsecs=0\n",
                shell_words(program)
            ),
        )?;
        place::run(self.place.command("supervisord").arg("-c").arg(config))?;
        Ok(())
    }

    fn start_pm2(&self, count: usize, program: &[String]) -> Try<()> {
        let [file, args @ ..] = program else { return Err(failed("no program")) };
        let file = find_program(file).unwrap_or_else(|| file.into());
        let apps: Vec<_> = (0..count)
            .map(|n| {
                serde_json::json!({
                    "name": format!("p{n}"), "script": file, "args": args, "interpreter": "none",
                    "autorestart": true, "max_restarts": 1_000_000, "min_uptime": 0, "restart_delay": 0,
                })
            })
            .collect();
        let config = self.write("work/pm2.json", &serde_json::json!({ "apps": apps }).to_string())?;
        place::run(self.place.command("pm2").arg("start").arg(config))?;
        Ok(())
    }

    fn start_mprocs(&mut self, count: usize, program: &[String]) -> Try<()> {
        let processes: serde_json::Map<_, _> = (0..count)
            .map(|n| (format!("p{n}"), serde_json::json!({ "cmd": program, "autorestart": true })))
            .collect();
        let config = serde_json::json!({ "server": self.mprocs_address(), "procs": processes });
        let config = self.write("mprocs.json", &config.to_string())?;
        let mut command = self.place.command("mprocs");
        command.arg("--config").arg(config);
        let terminal = Terminal::spawn(command)?;
        terminal.drain()?;
        self.terminal = Some(terminal);
        Ok(())
    }

    /// It listens on TCP only; each process that measures takes a port of its own.
    fn mprocs_address(&self) -> String {
        format!("127.0.0.1:{}", 20_000 + std::process::id() % 20_000)
    }
}

/// Words as a shell and supervisor's config read them.
fn shell_words(words: &[String]) -> String {
    let quoted: Vec<_> = words.iter().map(|w| format!("\"{w}\"")).collect();
    quoted.join(" ")
}
