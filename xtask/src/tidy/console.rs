//! The rules about what a library must leave to the command line, and about code that is not there yet.
//!
//! It must not look into comments and strings: an example in the documentation may print.

use super::Finding;
use super::lexer::{line_of, words};
use super::tree::{Entry, Tree};

/// The crate that talks to people.
const COMMAND_LINE: &str = "ferrotune-cli";
/// What only it may use.
const OUTPUT: [&str; 6] = ["println!", "eprintln!", "print!", "eprint!", "dbg!", "process::exit"];
/// The one file below it that may read one variable.
const EXCEPTION: (&str, &str) = ("crates/ferrotune-kernels/src/isa.rs", "FERROTUNE_ISA");
/// The ways to read variables.
const ENVIRONMENT: [&str; 4] = ["env::var", "env::var_os", "env::vars", "env::vars_os"];
/// Code that is not there.
const UNFINISHED: [&str; 2] = ["todo!", "unimplemented!"];

/// A library returns what it has to say.
pub fn no_output_below_the_command_line(tree: &Tree, findings: &mut Vec<Finding>) {
    let message = |word: &str| format!("{word} in a library: return it, and let {COMMAND_LINE} speak");
    find(tree, &OUTPUT, is_library, message, findings);
}

/// A library is told what it has to know. [`EXCEPTION`] may read its variable, once.
pub fn no_environment_below_the_command_line(tree: &Tree, findings: &mut Vec<Finding>) {
    let message = |word: &str| format!("{word} in a library: take it as an argument");
    let mut all = Vec::new();
    find(tree, &ENVIRONMENT, is_library, message, &mut all);
    let (path, variable) = EXCEPTION;
    let names_it =
        tree.files.iter().any(|file| file.path == path && file.text.iter().any(|text| text.contains(variable)));
    if let Some(index) = all.iter().position(|finding| names_it && finding.path == path) {
        all.remove(index);
    }
    findings.append(&mut all);
}

/// What is not built is not there.
pub fn nothing_is_left_to_do(tree: &Tree, findings: &mut Vec<Finding>) {
    find(tree, &UNFINISHED, |_| true, |word| format!("{word}: build it or leave it out"), findings);
}

/// Whether a file belongs to a crate below the command line. Build scripts talk to cargo on their output.
fn is_library(file: &Entry) -> bool {
    file.crate_name().is_some_and(|name| name != COMMAND_LINE) && !file.path.ends_with("/build.rs")
}

fn find(
    tree: &Tree,
    needles: &[&str],
    applies: fn(&Entry) -> bool,
    message: impl Fn(&str) -> String,
    findings: &mut Vec<Finding>,
) {
    for (file, rust) in tree.rust().filter(|(file, _)| applies(file)) {
        for needle in needles {
            for at in words(&rust.code, needle) {
                let line = line_of(&rust.code, at);
                findings.push(Finding { path: file.path.clone(), line, message: message(needle) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    const LIBRARY: &str = "crates/ferrotune-data/src/a.rs";

    #[test]
    fn output() {
        for code in ["println!(\"x\")", "eprintln!()", "print!()", "eprint!()", "dbg!(1)", "std::process::exit(1)"] {
            check(no_output_below_the_command_line, &[(LIBRARY, code)], &[(LIBRARY, 1, "in a library")]);
            let elsewhere = ["crates/ferrotune-cli/src/a.rs", "xtask/src/a.rs", "crates/ferrotune-data/build.rs"];
            elsewhere.iter().for_each(|path| check(no_output_below_the_command_line, &[(path, code)], &[]));
        }
        let quiet = "/// println!()\nfn f() { let s = \"dbg!\"; writeln!(w); my_println!(); process::id(); }";
        check(no_output_below_the_command_line, &[(LIBRARY, quiet)], &[]);
    }

    #[test]
    fn environment() {
        for code in ["std::env::var(\"A\")", "env::var_os(x)", "env::vars()", "std::env::vars_os()"] {
            check(no_environment_below_the_command_line, &[(LIBRARY, code)], &[(LIBRARY, 1, "argument")]);
            check(no_environment_below_the_command_line, &[("crates/ferrotune-cli/src/a.rs", code)], &[]);
        }
        check(no_environment_below_the_command_line, &[(LIBRARY, "env!(\"A\"); env::temp_dir()")], &[]);
        let isa = EXCEPTION.0;
        check(no_environment_below_the_command_line, &[(isa, "env::var(\"FERROTUNE_ISA\")")], &[]);
        check(no_environment_below_the_command_line, &[(isa, "env::var(\"PATH\")")], &[(isa, 1, "argument")]);
        let twice = "env::var(\"FERROTUNE_ISA\");\nenv::var(\"PATH\")";
        check(no_environment_below_the_command_line, &[(isa, twice)], &[(isa, 2, "argument")]);
    }

    #[test]
    fn unfinished() {
        for path in [LIBRARY, "xtask/src/a.rs", "tests/src/a.rs"] {
            check(nothing_is_left_to_do, &[(path, "fn f() {\n    todo!()\n}")], &[(path, 2, "todo!")]);
            check(nothing_is_left_to_do, &[(path, "unimplemented!()")], &[(path, 1, "unimplemented!")]);
            check(nothing_is_left_to_do, &[(path, "// todo!\nfn todo() { \"todo!\" }")], &[]);
        }
    }
}
