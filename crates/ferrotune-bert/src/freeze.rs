//! Which parameters stay fixed, by names a person would type: `embeddings`, `layers.0-3`, `layers.5`, `encoder`, `all-but.2`, `pooler`.
//! It must not know why: an optimizer sees flags alone.

use crate::config::EncoderConfig;
use ferrotune_tensor::{Backend, Params};

/// A freeze specification that does not fit the model.
#[derive(Debug, thiserror::Error)]
#[error("freeze: `{part}` is not a part of this model: {why}")]
pub struct FreezeError {
    /// The part of the specification that was not understood.
    pub part: String,
    /// What is known, or what the model has.
    pub why: String,
}

/// The prefixes of parameter names that a freeze specification stands for.
///
/// - `embeddings`: word, position and token-type embeddings and their layer norm, and the table of distances with its own in families that have one
/// - `layers.A` or `layers.A-B`: encoder layers, counted from 0, both ends included
/// - `encoder`: embeddings, all layers and the layer norm that may follow them (the whole encoder; pooler and head are trained)
/// - `all-but.N`: embeddings and all layers but the `N` top ones, whatever the depth of the model; `all-but.0` is `encoder`
/// - `pooler`: the pooler, in families that have one
///
/// # Errors
/// An unknown name, or a layer that the model does not have.
pub fn prefixes(spec: &str, config: &EncoderConfig) -> Result<Vec<String>, FreezeError> {
    let (layers, family) = (config.num_hidden_layers, config.family);
    let invalid = |part: &str, why: String| FreezeError { part: part.to_string(), why };
    let mut found = Vec::new();
    for part in spec.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part {
            "embeddings" => found.extend(family.embedding_paths()),
            "encoder" => {
                found.extend(family.embedding_paths());
                found.push(format!("{}.{}.", family.base, family.layers));
                found.extend(family.final_norm_path());
            }
            "pooler" => match family.pooler_path() {
                Some(path) => found.push(path),
                None => return Err(invalid(part, format!("{} has no pooler", family.model_type))),
            },
            _ if part.starts_with("all-but.") => {
                let kept = part.strip_prefix("all-but.").and_then(|count| count.parse::<usize>().ok());
                let Some(kept) = kept.filter(|kept| *kept <= layers) else {
                    return Err(invalid(
                        part,
                        format!("write all-but.N with N from 0 to {layers}, the layers of the model"),
                    ));
                };
                found.extend(family.embedding_paths());
                found.extend((0..layers - kept).map(|layer| family.layer_path(layer)));
                found.extend(family.final_norm_path().filter(|_| kept == 0));
            }
            _ => {
                let Some(range) = part.strip_prefix("layers.") else {
                    return Err(invalid(
                        part,
                        "known are embeddings, layers.A, layers.A-B, all-but.N, encoder, pooler".to_string(),
                    ));
                };
                let (first, last) = range.split_once('-').unwrap_or((range, range));
                let (Ok(first), Ok(last)) = (first.parse::<usize>(), last.parse::<usize>()) else {
                    return Err(invalid(part, "write layers.3 or layers.0-3".to_string()));
                };
                if first > last || last >= layers {
                    return Err(invalid(part, format!("the model has layers 0 to {}", layers - 1)));
                }
                found.extend((first..=last).map(|layer| family.layer_path(layer)));
            }
        }
    }
    Ok(found)
}

/// Freezes every parameter whose name starts with one of `prefixes`; returns how many elements are frozen.
pub fn freeze<B: Backend>(params: &mut Params<B>, prefixes: &[String]) -> usize {
    let layout = params.layout().clone();
    let mut frozen = 0;
    for (id, entry) in layout.ids().zip(layout.entries()) {
        if prefixes.iter().any(|prefix| entry.name.starts_with(prefix.as_str())) {
            params.set_trainable(id, false);
            frozen += entry.shape.len();
        }
    }
    frozen
}

/// How many layers lie in the frozen bottom of the model: all of its parameters there, those of the embeddings included, are frozen. The top layer is
/// one of them if the layer norm that may follow it is frozen too.
/// `None` if some part of the embeddings is trained.
pub fn frozen_layers<B: Backend>(params: &Params<B>, config: &EncoderConfig) -> Option<usize> {
    let frozen = |prefix: &str| {
        let layout = params.layout();
        let inside = |&(_, name): &(_, &str)| name.starts_with(prefix);
        let names = layout.ids().zip(layout.entries().iter().map(|entry| entry.name.as_str()));
        names.filter(inside).all(|(id, _)| !params.is_trainable(id))
    };
    let end = |layer: usize| config.family.final_norm_path().filter(|_| layer + 1 == config.num_hidden_layers);
    let layer =
        |layer: &usize| frozen(&config.family.layer_path(*layer)) && end(*layer).is_none_or(|path| frozen(&path));
    config
        .family
        .embedding_paths()
        .iter()
        .all(|path| frozen(path))
        .then(|| (0..config.num_hidden_layers).take_while(layer).count())
}
