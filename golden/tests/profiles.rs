//! Each golden profile becomes what `expected/` says.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test makes its own directory, and may panic"
)]

use golden::{Case, observe};
use slap_impl::env::real;
use std::path::Path;

fn check(profile: &str, case: &str, parameters: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let profile_path = root.join("profiles").join(profile).join("software.cfg");
    let scratch = tempfile::TempDir::with_prefix("golden-").unwrap();
    let env = real::env_with_executable(Path::new(env!("CARGO_BIN_EXE_golden")));
    let observed = real::block_on_env(env, |env| async move {
        let case = Case { profile: &profile_path, parameters, scratch: scratch.path() };
        observe(&env, &case).await
    });
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root.join("expected").join(profile));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(case, observed.unwrap()));
}

#[test]
fn helloworld() {
    check("helloworld", "name", &["name=Ada & <Grace>"]);
    check("helloworld", "port", &["port=8123"]);
    check("helloworld", "default", &[]);
}
