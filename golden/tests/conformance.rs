//! The comparison with the real SlapOS, where it cannot run.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts the program that it is about, and may panic"
)]

use std::process::{Command, Output};

fn conformance(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_golden"));
    command.arg("conformance").args(arguments).env_remove("CI").env("SLAP_TEST_PYTHON", "/nonexistent");
    command.envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn without_python_it_says_so_and_ci_fails() {
    for (variables, passes) in [
        (&[][..], true),
        (&[("CI", "0")], true),
        (&[("CI", "false")], true),
        (&[("CI", "1")], false),
        (&[("CI", "true")], false),
    ] {
        let output = conformance(&[], variables);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(i32::from(!passes)), "{variables:?}: {errors}");
        assert_eq!(errors.contains("*** DID NOT RUN"), passes, "{variables:?}: {errors}");
        assert_eq!(errors.contains("CI must run it"), !passes, "{variables:?}: {errors}");
        assert!(errors.contains("/nonexistent"), "{errors}");
    }
}

#[test]
fn arguments_are_checked() {
    for (arguments, code) in [(&["--help"][..], 0), (&["--frobnicate"], 2), (&["--keep", "x"], 2)] {
        let output = conformance(arguments, &[]);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}
