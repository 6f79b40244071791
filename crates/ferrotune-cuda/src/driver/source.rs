//! The CUDA sources as one text, which is what the compiler gets. It must not know any kernel.

/// The files of `kernels/`, in an order in which each may use those before it.
const FILES: [(&str, &str); 22] = [
    ("common.cuh", include_str!("../../kernels/common.cuh")),
    ("four.cuh", include_str!("../../kernels/four.cuh")),
    ("vector.cuh", include_str!("../../kernels/vector.cuh")),
    ("teams.cuh", include_str!("../../kernels/teams.cuh")),
    ("mma.cuh", include_str!("../../kernels/mma.cuh")),
    ("attention.cuh", include_str!("../../kernels/attention.cuh")),
    ("attention_products.cuh", include_str!("../../kernels/attention_products.cuh")),
    ("activation.cu", include_str!("../../kernels/activation.cu")),
    ("add_norm.cu", include_str!("../../kernels/add_norm.cu")),
    ("attention.cu", include_str!("../../kernels/attention.cu")),
    ("attention_backward.cu", include_str!("../../kernels/attention_backward.cu")),
    ("column_sums.cu", include_str!("../../kernels/column_sums.cu")),
    ("copy.cu", include_str!("../../kernels/copy.cu")),
    ("elementwise.cu", include_str!("../../kernels/elementwise.cu")),
    ("embedding.cu", include_str!("../../kernels/embedding.cu")),
    ("losses.cu", include_str!("../../kernels/losses.cu")),
    ("mma_check.cu", include_str!("../../kernels/mma_check.cu")),
    ("optimizer.cu", include_str!("../../kernels/optimizer.cu")),
    ("reduce.cu", include_str!("../../kernels/reduce.cu")),
    ("rotary.cu", include_str!("../../kernels/rotary.cu")),
    ("sequence_means.cu", include_str!("../../kernels/sequence_means.cu")),
    ("softmax.cu", include_str!("../../kernels/softmax.cu")),
];

/// All kernels. Every file stands in it once, so its includes of other files are left out; `#line` keeps the compiler's messages true.
pub fn text() -> String {
    let mut text = String::new();
    for (name, file) in FILES {
        text += &format!("#line 1 \"kernels/{name}\"\n");
        for line in file.lines() {
            let is_resolved = line.starts_with("#include \"") || line.trim() == "#pragma once";
            text += if is_resolved { "" } else { line };
            text.push('\n');
        }
    }
    text
}

/// The names of all kernels: what stands in `KERNEL(name, Params)` outside of macros.
pub fn kernels() -> Vec<String> {
    let text = text();
    let named = text.lines().filter_map(|line| line.strip_prefix("KERNEL(")?.split(',').next());
    named.map(|name| name.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_is_part_of_the_text_after_what_it_includes() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/kernels")).expect("the folder of kernels");
        let there: BTreeSet<String> =
            folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name in UTF-8")).collect();
        assert_eq!(there, FILES.iter().map(|(name, _)| (*name).to_owned()).collect());
        for (index, (name, file)) in FILES.iter().enumerate() {
            for included in file.lines().filter_map(|line| line.strip_prefix("#include \"")?.split('"').next()) {
                assert!(FILES[..index].iter().any(|(before, _)| *before == included), "{name} includes {included}");
            }
        }
    }

    #[test]
    fn includes_are_resolved_and_lines_keep_their_numbers() {
        let text = text();
        assert!(!text.contains("#include"));
        for (name, file) in FILES {
            let start = text.find(&format!("#line 1 \"kernels/{name}\"\n")).expect("each file is announced");
            let last = file.lines().count();
            assert_eq!(text[start..].lines().nth(last), file.lines().last(), "{name}");
        }
        assert!(kernels().contains(&"convert".to_owned()));
    }
}
