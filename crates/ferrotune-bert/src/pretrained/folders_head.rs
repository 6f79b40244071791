//! What becomes of the last layer that a folder has, where a head is asked for by its labels: it is kept, if need be with its rows in another order or with
//! new ones beside them, or it is replaced. It must not know the rest of the model.

use crate::checkpoint::{LoadReport, TensorSpec, plan};
use crate::config::EncoderConfig;
use crate::model::HeadKind;
use ferrotune_tensor::{Backend, Params};
use std::collections::HashMap;
use std::path::Path;

/// What became of the head that a folder has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoldersHead {
    /// It is taken as it is; or there is none, or nobody asked for labels.
    AsItIs,
    /// A new one takes its place, for this reason.
    Replaced(String),
    /// It is kept; the folder has the labels in this other order.
    Reordered(Vec<String>),
    /// It is kept for all labels that it has; these are new beside them.
    Extended(Vec<String>),
}

/// Weight and bias of a last layer.
type LastLayer = [Vec<f32>; 2];

/// A last layer with fewer rows than are wanted.
pub(super) struct Kept {
    layer: LastLayer,
    /// Where each of its rows is wanted.
    places: Vec<usize>,
}

/// What becomes of the folder's head, and what is kept of it where it has fewer rows than are wanted. `output` names the last layer's weight and bias.
pub(super) fn of(
    folder: &Path,
    config: &EncoderConfig,
    (kind, labels): (HeadKind, &[String]),
    report: &LoadReport,
    wanted: &[TensorSpec],
    output: &[String; 2],
) -> (FoldersHead, Option<Kept>) {
    let is_kind = config.head_kind() == kind;
    if report.loaded.contains(&output[0]) {
        let stored = config.id2label.clone().unwrap_or_else(|| unnamed_labels(labels.len()));
        let head = match places(&stored, labels) {
            _ if !is_kind => FoldersHead::Replaced(format!("it is for {}", config.head_kind())),
            None => FoldersHead::Replaced(other_labels(&stored, labels)),
            Some(_) if stored != labels => FoldersHead::Reordered(stored),
            Some(_) => FoldersHead::AsItIs,
        };
        return (head, None);
    }
    // For another number of labels.
    let is_there = report.newly_initialised.iter().any(|new| new.name == output[0] && new.in_folder);
    let (true, Some(stored)) = (is_there, &config.id2label) else { return (FoldersHead::AsItIs, None) };
    // One output is the logit of a yes or a number, and none of several classes.
    let places = places_of(labels, stored).filter(|_| is_kind && stored.len() > 1);
    let kept =
        places.and_then(|places| Some(Kept { layer: last_layer(folder, wanted, output, stored.len())?, places }));
    match kept {
        Some(kept) => {
            let new = labels.iter().filter(|label| !stored.contains(label)).cloned().collect();
            (FoldersHead::Extended(new), Some(kept))
        }
        None => (FoldersHead::Replaced(other_labels(stored, labels)), None),
    }
}

/// Puts the rows that are kept where `labels` want them.
pub(super) fn keep<B: Backend>(
    backend: &B,
    params: &mut Params<B>,
    labels: &[String],
    head: &FoldersHead,
    kept: Option<Kept>,
    output: &[String; 2],
) {
    let mut change = |name: &String, change: &dyn Fn(Vec<f32>) -> Vec<f32>| {
        let id = params.layout().find(name).expect("the head has it");
        let values = change(backend.download(params.get(id).data));
        params.set(backend, id, &values);
    };
    match (head, kept) {
        (FoldersHead::Reordered(stored), _) => {
            let places = places(stored, labels).expect("the same labels");
            output.iter().for_each(|name| change(name, &|values| rows_at(&values, &places)));
        }
        (_, Some(Kept { layer, places })) => {
            for (name, rows) in output.iter().zip(&layer) {
                let width = rows.len() / places.len();
                change(name, &|mut values| {
                    for (row, place) in rows.chunks(width).zip(&places) {
                        values[place * width..][..width].copy_from_slice(row);
                    }
                    values
                });
            }
        }
        _ => {}
    }
}

/// The names of so many classes that have none.
pub(super) fn unnamed_labels(count: usize) -> Vec<String> {
    (0..count).map(|id| format!("LABEL_{id}")).collect()
}

/// How the labels of a head differ from those that are wanted.
fn other_labels(stored: &[String], wanted: &[String]) -> String {
    let (kept, lost): (Vec<&str>, Vec<&str>) =
        stored.iter().map(String::as_str).partition(|label| wanted.iter().any(|own| own == label));
    match kept.is_empty() || lost.is_empty() || stored.len().min(wanted.len()) == 1 {
        true => format!("its labels are {}", stored.join(", ")),
        false => format!("its labels are {}, and no row to learn from has {}", stored.join(", "), lost.join(", ")),
    }
}

/// The folder's last layer, for so many labels as it has; none where it is not as the model wants it but for that number.
fn last_layer(folder: &Path, wanted: &[TensorSpec], output: &[String; 2], labels: usize) -> Option<LastLayer> {
    let spec = |name: &String| {
        let spec = wanted.iter().find(|spec| spec.name == *name)?;
        Some(TensorSpec { name: name.clone(), shape: [&[labels], &spec.shape[1..]].concat() })
    };
    let specs = [spec(&output[0])?, spec(&output[1])?];
    let mut rows = [Vec::new(), Vec::new()];
    // Nothing else of the folder is looked at.
    let read = plan(folder, &specs, &|name| !output.iter().any(|own| own == name))
        .and_then(|plan| plan.read(&mut |index, values| rows[index] = values));
    read.is_ok().then_some(rows)
}

/// Where each of the `wanted` labels is among the `stored`, if these are the same in any order.
pub(crate) fn places(stored: &[String], wanted: &[String]) -> Option<Vec<usize>> {
    places_of(stored, wanted).filter(|_| stored.len() == wanted.len())
}

/// Where each of the `wanted` labels is among the `stored`, if all are.
fn places_of(stored: &[String], wanted: &[String]) -> Option<Vec<usize>> {
    let by_name: HashMap<&String, usize> = stored.iter().zip(0..).collect();
    let places: Option<Vec<usize>> = wanted.iter().map(|label| by_name.get(label).copied()).collect();
    places.filter(|_| by_name.len() == stored.len())
}

/// The rows of these places, in their order, of a matrix with as many rows.
pub(crate) fn rows_at(values: &[f32], places: &[usize]) -> Vec<f32> {
    let width = values.len() / places.len();
    places.iter().flat_map(|place| &values[place * width..][..width]).copied().collect()
}
