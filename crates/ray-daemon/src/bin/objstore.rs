//! See [`ray_daemon::objstore`].
fn main() -> std::process::ExitCode {
    ray_daemon::objstore::run(std::env::args().skip(1))
}
