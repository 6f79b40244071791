//! The rules about `unsafe`: where it may stand, and that each use says why it is sound.
//!
//! It must not judge whether the reason is a good one.

use super::Finding;
use super::lexer::{Lexed, line_of, words};
use super::tree::Tree;

/// The crates that may hold unsafe code.
const ALLOWED: [&str; 2] = ["ferrotune-kernels", "ferrotune-cuda"];
/// How far above its use the reason may stand, in lines.
const REACH: usize = 6;
/// What every other crate's root says.
const FORBID: &str = "#![forbid(unsafe_code)]";

/// Unsafe code lives in two crates.
pub fn only_where_allowed(tree: &Tree, findings: &mut Vec<Finding>) {
    for (file, rust) in tree.rust() {
        if file.crate_name().is_some_and(|name| ALLOWED.contains(&name)) {
            continue;
        }
        for at in words(&rust.code, "unsafe") {
            let message = format!("unsafe code; only {} may hold any", ALLOWED.join(" and "));
            findings.push(Finding { path: file.path.clone(), line: line_of(&rust.code, at), message });
        }
    }
}

/// A block, an impl, an attribute: `SAFETY:` in the lines above. A function: that, or a `# Safety` section in its
/// documentation or in that of the trait it belongs to. The type of a function pointer promises nothing and needs none.
pub fn every_use_has_its_reason(tree: &Tree, findings: &mut Vec<Finding>) {
    for (file, rust) in tree.rust() {
        for at in words(&rust.code, "unsafe") {
            let line = line_of(&rust.code, at);
            // `unsafe extern "C" fn` counts as a function; the string is blank here. `unsafe(...)` is an attribute's.
            let after = &rust.code[at + "unsafe".len()..];
            let item = after.split_whitespace().find(|word| *word != "extern").unwrap_or_default();
            let is_fn = item == "fn" && !after.starts_with('(');
            let fine = item.starts_with("fn(")
                || has_reason(rust, line)
                || (is_fn || item == "trait") && has_safety_section(rust, line)
                || is_fn && its_trait_has_the_contract(rust, at);
            if !fine {
                let message = if is_fn {
                    "unsafe fn without a `# Safety` section in its documentation"
                } else {
                    "unsafe without a `SAFETY:` comment in the six lines above"
                };
                findings.push(Finding { path: file.path.clone(), line, message: message.to_owned() });
            }
        }
    }
}

/// Whether the function at `at` is one of a trait's implementation, which cannot ask for more than the trait does, or
/// one of a trait whose own documentation has the section.
fn its_trait_has_the_contract(rust: &Lexed, at: usize) -> bool {
    let mut closed = 0;
    let open = rust.code[..at].bytes().rposition(|byte| {
        match byte {
            b'}' => closed += 1,
            b'{' if closed == 0 => return true,
            b'{' => closed -= 1,
            _ => (),
        }
        false
    });
    let Some(open) = open else { return false };
    let start = rust.code[..open].rfind(['{', '}', ';']).map_or(0, |end| end + 1);
    let header = &rust.code[start..open];
    let has = |word| words(header, word).next();
    match has("trait") {
        Some(offset) => has_safety_section(rust, line_of(&rust.code, start + offset)),
        None => has("impl").is_some() && has("for").is_some(),
    }
}

/// The compiler keeps all other crates free of it.
pub fn other_crates_forbid_it(tree: &Tree, findings: &mut Vec<Finding>) {
    for (file, rust) in tree.rust() {
        let is_root = match file.path.split('/').collect::<Vec<_>>()[..] {
            ["crates", name, "src", "lib.rs" | "main.rs"] => !ALLOWED.contains(&name),
            ["xtask" | "tests" | "benches", "src", "lib.rs" | "main.rs"] => true,
            _ => false,
        };
        let code: String = rust.code.split_whitespace().collect();
        if is_root && !code.contains(FORBID) {
            findings.push(Finding { path: file.path.clone(), line: 1, message: format!("lacks {FORBID}") });
        }
    }
}

/// Whether a comment on the line or in the lines above it gives the reason. Lines count from 1.
fn has_reason(rust: &Lexed, line: usize) -> bool {
    rust.comments.lines().take(line).skip(line.saturating_sub(1 + REACH)).any(|comment| comment.contains("SAFETY:"))
}

/// Whether the documentation directly above the line, attributes between them allowed, has the section.
fn has_safety_section(rust: &Lexed, line: usize) -> bool {
    let comments: Vec<&str> = rust.comments.lines().take(line - 1).collect();
    let code: Vec<&str> = rust.code.lines().take(line - 1).collect();
    comments
        .iter()
        .zip(&code)
        .rev()
        .take_while(|(comment, code)| !comment.trim().is_empty() || code.trim_start().starts_with("#["))
        .any(|(comment, _)| comment.trim_start().starts_with("///") && comment.contains("# Safety"))
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;

    const KERNEL: &str = "crates/ferrotune-kernels/src/a.rs";

    #[test]
    fn the_place() {
        let code = "fn f() { /* unsafe */ let s = \"unsafe\"; let unsafe_code = 1;\nunsafe { g() } }";
        for (path, expected) in [
            (KERNEL, None),
            ("crates/ferrotune-cuda/src/a.rs", None),
            ("crates/ferrotune-data/src/a.rs", Some(2)),
            ("xtask/src/a.rs", Some(2)),
            ("tests/src/a.rs", Some(2)),
        ] {
            let expected: Vec<_> = expected.map(|line| (path, line, "only ferrotune-kernels")).into_iter().collect();
            check(only_where_allowed, &[(path, code)], &expected);
        }
    }

    #[test]
    fn the_reason() {
        let far = format!("// SAFETY: too far.\n{}unsafe {{ f() }}", "\n".repeat(6));
        let near = format!("// SAFETY: near enough.\n{}unsafe {{ f() }}", "\n".repeat(5));
        for (code, expected) in [
            ("// SAFETY: it is.\nunsafe { f() }", None),
            ("let x = unsafe { f() }; // SAFETY: it is.", None),
            ("unsafe { f() }", Some((1, "SAFETY:"))),
            ("let s = \"SAFETY:\";\nunsafe { f() }", Some((2, "SAFETY:"))),
            (&far, Some((8, "SAFETY:"))),
            (&near, None),
            (
                "/// Does.\n///\n/// # Safety\n/// `x` is aligned.\n#[inline]\n#[target_feature(enable = \"avx2\")]\npub unsafe fn f() {}",
                None,
            ),
            ("/// # Safety\n/// None.\nunsafe fn g() {}\n\n/// Does.\npub unsafe fn f() {}", Some((6, "# Safety"))),
            ("/// Does.\npub unsafe fn f() {}", Some((2, "# Safety"))),
            ("/// # Safety\n/// See f.\npub unsafe extern \"C\" fn f() {}", None),
            ("/// # Safety\n/// x\nunsafe trait T {}", None),
            ("// SAFETY: x\nunsafe impl T for X {}", None),
            ("/// Doc.\nunsafe impl T for X {}", Some((2, "SAFETY:"))),
            ("impl T for X {\n    fn a() {}\n    unsafe fn f() {}\n}", None),
            ("impl X {\n    fn a() {}\n    unsafe fn f() {}\n}", Some((3, "# Safety"))),
            ("/// # Safety\n/// x\ntrait T: A {\n    const N: usize;\n    unsafe fn f();\n}", None),
            ("/// Does.\ntrait T {\n    unsafe fn f();\n}", Some((3, "# Safety"))),
            ("type Kernel = unsafe fn(*const f32);", None),
            ("#[unsafe(no_mangle)]\nfn f() {}", Some((1, "SAFETY:"))),
        ] {
            let expected: Vec<_> = expected.map(|(line, part)| (KERNEL, line, part)).into_iter().collect();
            check(every_use_has_its_reason, &[(KERNEL, code)], &expected);
        }
    }

    #[test]
    fn the_roots() {
        let with = "//! x\n#![forbid(unsafe_code)]\n";
        let files = [
            ("crates/ferrotune-cli/src/main.rs", with),
            ("crates/ferrotune-data/src/lib.rs", "// #![forbid(unsafe_code)]\n"),
            ("crates/ferrotune-data/src/other.rs", ""),
            ("crates/ferrotune-kernels/src/lib.rs", ""),
            ("tests/src/lib.rs", ""),
            ("xtask/src/main.rs", "//! x\nmod a;\n"),
        ];
        let expected = [
            ("crates/ferrotune-data/src/lib.rs", 1, "lacks"),
            ("tests/src/lib.rs", 1, "lacks"),
            ("xtask/src/main.rs", 1, "lacks"),
        ];
        check(other_crates_forbid_it, &files, &expected);
    }
}
