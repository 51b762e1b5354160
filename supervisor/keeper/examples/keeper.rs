//! The keeper by itself: what the tests start. The product is one executable, whose `keeper` this is.

fn main() {
    std::process::exit(wezterm_parallel_keeper::main(std::env::args_os().skip(1)));
}
