//! A test that cannot run on a machine says why: its output is shown with `--nocapture`.

/// Says why a test, or a part of one, does not run here.
#[expect(clippy::print_stderr, reason = "a test that does not run says why")]
pub fn not_run(why: &str) {
    eprintln!("NOT RUN: {why}");
}

/// The same for what `scripts/setup-tests` installs, or says why not. Fails in CI, where it can.
pub fn not_run_but_in_ci(why: &str) {
    #[expect(clippy::disallowed_methods, reason = "no setting: where the tests run")]
    let in_ci = std::env::var_os("CI").is_some();
    assert!(!in_ci, "in CI it runs: {why}");
    not_run(why);
}
