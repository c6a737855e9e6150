//! See [`ray_daemon::scheduler`].
fn main() -> std::process::ExitCode {
    ray_daemon::scheduler::run(std::env::args().skip(1))
}
