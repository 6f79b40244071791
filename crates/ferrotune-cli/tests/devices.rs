//! `ferrotune devices` as a person runs it: it says what the processor can do, and with the feature `cuda` it starts where there is no driver.
#![forbid(unsafe_code)]

use std::process::Command;

#[test]
fn devices_are_named_with_or_without_a_driver() {
    let output = Command::new(env!("CARGO_BIN_EXE_ferrotune")).arg("devices").output().unwrap();
    let (said, complaints) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{complaints}");
    let names: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names[0], "cpu", "{said}");
    let is_cuda = |name: &&&str| name.starts_with("cuda");
    assert_eq!(names[1..].iter().filter(is_cuda).count(), names.len() - 1, "{said}");
    assert_eq!(names.len() > 1, cfg!(feature = "cuda"), "{said}");
}
