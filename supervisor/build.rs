//! Links the executable at a fixed address. Every kept process has a keeper of its own, which is
//! this same executable: a position-independent one would have its tables of pointers relocated,
//! and so copied, in each of them. See `docs/design/0002-one-executable.md` for the figures.

fn main() {
    println!("cargo:rerun-if-changed=supervisor/build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
