//! `uninstall`: takes away all that is ours, and names what it leaves.

use std::{fs, path::Path};

use crate::{
    app::App,
    arguments::Uninstall,
    executable,
    failure::{Context, Failure, Outcome},
    output, stop, unit, view,
    wezterm::WezTerm,
};

/// `uninstall`.
pub fn run(app: &App, args: &Uninstall) -> Outcome {
    let places = &app.places;
    let dirs = [&places.data_dir, &places.state_dir, &places.runtime_dir];
    let (removed, left): (Vec<_>, Vec<_>) =
        dirs.into_iter().filter(|d| d.exists()).partition(|d| ours(app, d));

    if !args.yes {
        if !output::somebody_there() {
            return Err(Failure::new("uninstall", "nobody is there to agree")
                .hint("`wezterm-parallel uninstall --yes` does not ask"));
        }
        let names = removed.iter().map(|d| format!("\n  {}", d.display())).collect::<String>();
        if !output::ask(&format!("Stop everything and remove the following?{names}\n "), false) {
            return Err(Failure::new("uninstall", "you did not agree"));
        }
    }
    if let Some(mut daemon) = app.connect_or_none()? {
        if !args.yes {
            stop::agree(&mut daemon)?;
        }
        let stopped = stop::stop(&mut daemon, false)?;
        output::print(format_args!("stopped the daemon and {}\n", view::count(stopped.ended, "run")))?;
    }
    if let Some(file) = unit::remove(app)? {
        output::print(format_args!("removed {}\n", file.display()))?;
    }
    let link = executable::link(app);
    if executable::remove_link(app)? {
        output::print(format_args!("removed {}\n", link.display()))?;
    }
    let wezterm = WezTerm::here(app);
    if let Some(shim) = wezterm.remove_shim()? {
        output::print(format_args!("removed {}\n", shim.display()))?;
    }
    for dir in removed {
        // the runtime directory may lie in the state directory, and be gone with it
        if dir.exists() {
            fs::remove_dir_all(dir).failed_to(|| format!("remove {}", dir.display()))?;
            output::print(format_args!("removed {}\n", dir.display()))?;
        }
    }
    for dir in left {
        output::print(format_args!("left {}: it holds more than what is ours\n", dir.display()))?;
    }
    let config = app.config().unwrap_or_else(|_| places.config.clone());
    if config.exists() {
        output::print(format_args!("left your config, {}\n", config.display()))?;
    }
    if let Some(config) = wezterm.config().filter(|config| WezTerm::names_plugin(config)) {
        output::print(format_args!("left {}: take the lines of the plugin out\n", config.display()))?;
    }
    for checkout in wezterm.checkouts() {
        output::print(format_args!("left the plugin, {}\n", checkout.dir.display()))?;
    }
    for file in wezterm.put_aside() {
        output::print(format_args!("left {}: it was yours before\n", file.display()))?;
    }
    output::print("left ~/.claude and ~/.claude.json, which are Claude Code's, with its sessions\n")
}

/// Whether a directory may be removed with all that is in it: the environment can name any directory
/// as ours, and one slip must not cost somebody's home.
fn ours(app: &App, dir: &Path) -> bool {
    let (Ok(real), Ok(home)) = (dir.canonicalize(), app.home.canonicalize()) else { return false };
    if home.starts_with(&real) || real.parent().is_none() {
        return false;
    }
    let named = real.file_name().is_some_and(|n| n == wezterm_parallel_schemas::places::DIRECTORY);
    named
        || fs::read_dir(&real)
            .is_ok_and(|entries| entries.flatten().all(|e| known(&e.file_name().to_string_lossy())))
}

/// Names that the daemon gives to what it keeps.
fn known(name: &str) -> bool {
    const DIRECTORIES: [&str; 3] = ["runs", "run", "backups"];
    const BEGINNINGS: [&str; 4] = ["daemon.", "store.", "state.", "last-good"];
    DIRECTORIES.contains(&name) || BEGINNINGS.iter().any(|b| name.starts_with(b))
}

#[cfg(test)]
mod tests {
    use wezterm_parallel_schemas::places::Places;

    use super::*;

    #[test]
    fn a_directory_with_anything_else_in_it_is_not_ours_to_remove() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = dir.path().join("home/u");
        fs::create_dir_all(&home).expect("made");
        let app =
            App { places: Places::new(|_| None, &home), home: home.clone(), json: false, config_given: None };
        assert!(!ours(&app, &home), "not even an empty home");
        for (name, files, expected) in [
            ("a", &["daemon.lock", "daemon.sock", "runs"][..], true),
            ("b", &["daemon.lock", "thesis.tex"], false),
            ("wezterm-parallel", &["anything"], true),
            ("empty", &[], true),
        ] {
            let place = home.join(name);
            fs::create_dir(&place).expect("made");
            for file in files {
                fs::write(place.join(file), "").expect("a file");
            }
            assert_eq!(ours(&app, &place), expected, "{name}");
        }
        for place in [home.as_path(), dir.path(), Path::new("/"), Path::new("/nowhere/at/all")] {
            assert!(!ours(&app, place), "{}", place.display());
        }
    }
}
