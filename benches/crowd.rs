//! A place with fifty processes: one reports what it is told to, and the others do nothing.

use std::{fs::File, io::Write as _};

use wezterm_parallel_schemas::process::State;

use crate::{
    failure::{Context, Try},
    support::site::Site,
};

/// All of them. The one that reports is `api/lead`.
pub const PROCESSES: usize = 50;

/// They run while this lives.
pub struct Crowd {
    orders: File,
    /// Where they run.
    pub site: Site,
}

impl Crowd {
    /// Starts the daemon of a place, and them.
    pub fn start(site: Site) -> Try<Self> {
        site.project("api");
        let orders = site.path("tmp/orders");
        rustix::fs::mknodat(rustix::fs::CWD, &orders, rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .failed_to("make a pipe")?;
        site.script(
            "agent",
            &format!(
                "#!/bin/sh\nwhile read -r state; do printf '\\033]7501;state=%s\\007' \"$state\"; done < '{}'\n",
                orders.display()
            ),
        );
        let still: Vec<String> =
            (1..PROCESSES).map(|n| format!("p{n}: {{ command: [sleep, '1000000'] }}")).collect();
        site.config(&format!(
            "version: 1\nworkspaces: {{ api: {{ cwd: $WORK/api, processes: {{ lead: {{ command: [agent] }}, {} }} }} }}\n",
            still.join(", ")
        ));
        site.daemon();
        for n in 1..PROCESSES {
            site.wait_state(&format!("api/p{n}"), State::Running);
        }
        // open in both directions, so that neither side waits for the other
        let orders = File::options().read(true).write(true).open(&orders).failed_to("open a pipe")?;
        Ok(Self { orders, site })
    }

    /// Has the one report this state.
    pub fn tell(&self, state: &str) -> Try<()> {
        let mut orders = &self.orders;
        writeln!(orders, "{state}").failed_to("tell the agent")
    }
}
