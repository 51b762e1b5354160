//! Getting the executable and the plugin: the scripts of the checkout, in a home of their own, with a stand-in
//! for cargo.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use crate::support::{
    pty::Pty,
    site::{Output, Site, finish, say},
};

/// A checkout with the scripts in it, where no path should lie.
fn checkout(site: &Site) -> PathBuf {
    let root = site.path("work/it's a \"checkout\" $HOME é");
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(root.join("plugin/bin")).expect("a directory");
    for file in ["Cargo.toml", "plugin.lua", "install-wezterm-config.sh", "plugin/bin/install.sh"] {
        fs::copy(own.join(file), root.join(file)).expect("it is in the repository");
    }
    root
}

/// Stands in for cargo: notes how it was called, and "builds" a script.
fn cargo(site: &Site) {
    site.script(
        "cargo",
        r#"#!/bin/sh
printf '%s\n' "$CARGO_TARGET_DIR" "$@" >> "$HOME/cargo-called"
mkdir -p "$CARGO_TARGET_DIR/release"
printf '#!/bin/sh\n[ "$1" = --version ] && echo built\n' > "$CARGO_TARGET_DIR/release/wezterm-parallel"
"#,
    );
    site.script("cc", "#!/bin/sh\n");
}

fn sh(site: &Site, script: &Path, args: &[&str]) -> Output {
    let mut command = site.command("/bin/sh");
    command.arg(script).args(args);
    finish(command)
}

fn install(site: &Site, root: &Path, args: &[&str]) -> Output {
    sh(site, &root.join("plugin/bin/install.sh"), args)
}

fn copy(site: &Site) -> PathBuf {
    site.path("data/wezterm-parallel/bin").join(env!("CARGO_PKG_VERSION")).join("wezterm-parallel")
}

/// Names of all files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        if entry.file_type().expect("it is there").is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

#[test]
fn the_executable_is_built_outside_of_the_checkout_and_put_where_up_puts_it() {
    let site = Site::new();
    cargo(&site);
    let root = checkout(&site);
    let before = files(&root);
    for _ in 0..2 {
        let output = install(&site, &root, &["--yes"]).ok();
        assert!(output.out.contains("The plugin finds it by itself"), "{}", output.out);
    }
    assert_eq!(files(&root), before, "a plugin's directory may be read-only");
    let mut command = site.command(copy(&site));
    command.arg("--version");
    assert_eq!(finish(command).ok().out, "built\n");
    let link = site.path("home/.local/bin/wezterm-parallel");
    assert_eq!(fs::read_link(&link).expect("a link"), copy(&site));
    let called = fs::read_to_string(site.path("home/cargo-called")).expect("cargo was called");
    let build = site.path("data/wezterm-parallel/build");
    for line in [
        build.to_str().expect("text"),
        "--release",
        "--locked",
        root.join("Cargo.toml").to_str().expect("text"),
    ] {
        assert!(called.lines().any(|l| l == line), "no {line} in {called}");
    }
    assert!(!build.exists(), "what was built is put, and the rest is gone");
    assert_eq!(files(copy(&site).parent().expect("a directory")).len(), 1, "nothing half made is left");
}

#[test]
fn nothing_is_done_before_somebody_has_agreed() {
    let site = Site::new();
    cargo(&site);
    let root = checkout(&site);
    install(&site, &root, &[]).exits(1).says("nobody is there to agree");
    let mut command = site.command("/bin/sh");
    command.arg(root.join("plugin/bin/install.sh"));
    let mut pty = Pty::spawn(command, 200, 30);
    pty.wait_for_text("Go on?");
    pty.type_keys("n\n");
    pty.wait_for_text("Nothing was done");
    pty.wait_for_text("Enter closes this");
    pty.type_keys("\n");
    assert_eq!(pty.wait_for_end(), Some(1));
    assert!(!site.path("home/cargo-called").exists() && !site.path("data/wezterm-parallel").exists());
    let mut command = site.command("/bin/sh");
    command.arg(root.join("plugin/bin/install.sh"));
    let mut pty = Pty::spawn(command, 200, 40);
    pty.wait_for_text("Go on?");
    pty.type_keys("\n");
    pty.wait_for_text("Enter closes this");
    assert!(copy(&site).exists(), "{}", pty.contents());
    pty.type_keys("\n");
    assert_eq!(pty.wait_for_end(), Some(0));
}

#[test]
fn a_release_is_downloaded_only_by_its_sum() {
    let site = Site::new();
    let root = checkout(&site);
    if !["/usr/bin/curl", "/usr/bin/wget"].iter().any(|p| Path::new(p).exists()) {
        say("left out, as this machine has neither curl nor wget: the download of a release");
        return;
    }
    let version = env!("CARGO_PKG_VERSION");
    let machine = std::env::consts::ARCH;
    let asset = format!("wezterm-parallel-{version}-{machine}-unknown-linux-musl");
    let releases = site.path("work/releases");
    let file = releases.join(format!("v{version}")).join(&asset);
    fs::create_dir_all(file.parent().expect("a directory")).expect("made");
    fs::write(&file, "#!/bin/sh\necho released\n").expect("a file");
    site.set_env("WEZTERM_PARALLEL_RELEASES", &format!("file://{}", releases.display()));
    let sum = finish({
        let mut c = site.command("sha256sum");
        c.arg(&file);
        c
    })
    .ok()
    .out;
    let sum = &sum[..64];
    let write = |sum: &str| {
        fs::write(root.join("plugin/checksums.txt"), format!("# sums\n{sum}  {asset}\n")).expect("a file")
    };
    // another sum than that of what comes
    write(&sum.chars().rev().collect::<String>());
    install(&site, &root, &["--yes"]).exits(1).says("nothing was installed");
    assert!(files(&site.path("data")).is_empty(), "{:?}", files(&site.path("data")));
    // no sum at all: it is not downloaded, and there is no cargo here
    fs::remove_file(root.join("plugin/checksums.txt")).expect("a file of ours");
    site.set_env("PATH", "/usr/bin:/bin");
    if !["/usr/bin/cargo", "/usr/local/bin/cargo"].iter().any(|p| Path::new(p).exists()) {
        install(&site, &root, &["--yes"]).exits(1).says("https://rustup.rs");
    }
    write(sum);
    install(&site, &root, &["--yes"]).ok();
    assert_eq!(fs::read(copy(&site)).expect("installed"), fs::read(&file).expect("ours"));
}

#[test]
fn what_was_built_and_does_not_run_replaces_nothing() {
    let site = Site::new();
    cargo(&site);
    let root = checkout(&site);
    install(&site, &root, &["--yes"]).ok();
    let before = fs::read(copy(&site)).expect("installed");
    site.script(
        "cargo",
        "#!/bin/sh\nmkdir -p \"$CARGO_TARGET_DIR/release\"; printf '#!/bin/sh\\nexit 1\\n' > \"$CARGO_TARGET_DIR/release/wezterm-parallel\"\n",
    );
    install(&site, &root, &["--yes"]).exits(1).says("does not run");
    site.script("cargo", "#!/bin/sh\necho rustc is too old >&2; exit 101\n");
    install(&site, &root, &["--yes"]).exits(1).says("could not be built");
    assert_eq!(fs::read(copy(&site)).expect("still there"), before);
    assert_eq!(files(copy(&site).parent().expect("a directory")).len(), 1);
}

#[test]
fn a_program_of_somebody_else_is_not_replaced_by_the_link() {
    let site = Site::new();
    cargo(&site);
    let root = checkout(&site);
    let link = site.path("home/.local/bin/wezterm-parallel");
    fs::create_dir_all(link.parent().expect("a directory")).expect("made");
    symlink("/bin/true", &link).expect("a link");
    let output = install(&site, &root, &["--yes"]).ok();
    assert!(output.out.contains("is not ours"), "{}", output.out);
    assert_eq!(fs::read_link(&link).expect("a link"), Path::new("/bin/true"));
}

fn configure(site: &Site, root: &Path, args: &[&str]) -> Output {
    sh(site, &root.join("install-wezterm-config.sh"), args)
}

#[test]
fn the_module_for_the_older_snippet_is_put_beside_the_config_and_taken_away_again() {
    let site = Site::new();
    let root = checkout(&site);
    let shim = site.path("config/wezterm/wezterm_parallel.lua");
    let config = site.path("config/wezterm/wezterm.lua");
    fs::create_dir_all(config.parent().expect("a directory")).expect("made");
    fs::write(&config, "return {}\n").expect("a file");
    fs::write(&shim, "-- theirs\nreturn {}\n").expect("a file");

    let output = configure(&site, &root, &["--dry-run"]).ok();
    assert!(output.out.contains("would have written"), "{}", output.out);
    assert_eq!(fs::read_to_string(&shim).expect("a file"), "-- theirs\nreturn {}\n");

    let output = configure(&site, &root, &["--write"]).ok();
    assert!(output.out.contains("put aside") && output.out.contains("multi_dev.setup"), "{}", output.out);
    assert_eq!(fs::read_to_string(&config).expect("a file"), "return {}\n", "never changed");
    assert_eq!(files(&site.path("config")).len(), 3);
    let text = fs::read_to_string(&shim).expect("a file");
    let again = configure(&site, &root, &[]).ok();
    assert!(again.out.contains("there already"), "{}", again.out);
    assert_eq!(fs::read_to_string(&shim).expect("a file"), text);
    assert_eq!(files(&site.path("config")).len(), 3);

    configure(&site, &root, &["--uninstall"]).ok();
    assert_eq!(fs::read_to_string(&shim).expect("a file"), "-- theirs\nreturn {}\n");
    assert_eq!(files(&site.path("config")).len(), 2);
    let output = configure(&site, &root, &["--uninstall"]).ok();
    assert!(output.out.contains("not from here"), "{}", output.out);
}

#[test]
fn a_config_is_written_only_if_asked_for_and_only_where_there_is_none() {
    let site = Site::new();
    let root = checkout(&site);
    let config = site.path("config/wezterm/wezterm.lua");
    configure(&site, &root, &[]).ok();
    assert!(!config.exists());
    configure(&site, &root, &["--write"]).ok();
    assert!(fs::read_to_string(&config).expect("written").contains("require 'wezterm_parallel'"));
    let output = configure(&site, &root, &[]).ok();
    assert!(output.out.contains("loads it already"), "{}", output.out);
    configure(&site, &root, &["--uninstall"]).ok();
    assert!(files(&site.path("config")).is_empty());
    fs::write(site.path("home/.wezterm.lua"), "return {}\n").expect("a file");
    configure(&site, &root, &["--write"]).ok();
    assert!(!config.exists());
    configure(&site, &root, &["--fly"]).exits(2);
}

#[test]
fn uninstall_takes_away_what_the_scripts_have_put_and_names_the_rest() {
    let site = Site::new();
    cargo(&site);
    let root = checkout(&site);
    install(&site, &root, &["--yes"]).ok();
    configure(&site, &root, &["--write"]).ok();
    let output = site.run(&["uninstall", "--yes"]).ok();
    assert!(!site.path("data/wezterm-parallel").exists());
    assert!(!site.path("home/.local/bin/wezterm-parallel").exists());
    assert!(!site.path("config/wezterm/wezterm_parallel.lua").exists());
    let config = site.path("config/wezterm/wezterm.lua");
    assert!(output.out.contains(&format!("left {}", config.display())), "{}", output.out);
}

#[test]
fn the_scripts_are_fit_for_every_shell() {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    for script in ["plugin/bin/install.sh", "install-wezterm-config.sh"] {
        let mode = fs::metadata(own.join(script)).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script}");
    }
    let Ok(status) = Command::new("shellcheck")
        .args(["plugin/bin/install.sh", "install-wezterm-config.sh"])
        .current_dir(own)
        .status()
    else {
        say("left out, as this machine has no shellcheck: a look at the scripts");
        return;
    };
    assert!(status.success());
}
