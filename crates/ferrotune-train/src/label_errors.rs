//! Which labels are likely wrong, from probabilities that were learned from other rows: confident learning (Northcutt, Jiang and Chuang 2021,
//! "Confident Learning: Estimating Uncertainty in Dataset Labels", Journal of Artificial Intelligence Research 70). It must not know where probabilities
//! come from.

#[cfg(test)]
mod tests;

use serde::Serialize;

/// What the probabilities say of the labels as a whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfidentJoint {
    /// For each class the mean probability of it in the rows that have it as their label; 2, which none reaches, for a class without rows (equation 2 of the paper).
    pub thresholds: Vec<f64>,
    /// `(classes, classes)`, row-major: rows with the first class as their label that are confidently of the second one (equation 1). A row counts
    /// for the most probable of the classes whose threshold its probability reaches, and not at all if there is none.
    pub counts: Vec<usize>,
    /// Rows for which that class is another than the label, and the most probable class is another too.
    pub suspects: Vec<bool>,
}

/// A row and how well its label fits.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judged {
    /// The row.
    pub row: usize,
    /// The most probable other class.
    pub other: u32,
    /// The probability of the label.
    pub self_confidence: f64,
    /// That minus the probability of `other`: between -1 and 1, and below 0 where another class is more probable.
    pub margin: f64,
    /// Whether confident learning counts the row among the wrong ones.
    pub suspect: bool,
}

/// Counts which labels are confidently others. `probabilities` are row-major `(rows, classes)` and must come from a model that has not learned
/// from the row.
///
/// # Panics
/// If the lengths disagree, or a label is no class.
pub fn confident_joint(probabilities: &[f32], labels: &[u32], classes: usize) -> ConfidentJoint {
    assert_eq!(probabilities.len(), labels.len() * classes, "confident_joint: probabilities of other rows");
    let rows = || probabilities.chunks(classes.max(1)).zip(labels.iter().map(|&label| label as usize));
    let (mut sums, mut of_class) = (vec![0.0f64; classes], vec![0usize; classes]);
    for (p, label) in rows() {
        sums[label] += f64::from(p[label]);
        of_class[label] += 1;
    }
    let mean = |(sum, &count): (f64, &usize)| if count == 0 { 2.0 } else { sum / count as f64 };
    let thresholds: Vec<f64> = sums.into_iter().zip(&of_class).map(mean).collect();
    let mut counts = vec![0; classes * classes];
    let mut suspects = Vec::with_capacity(labels.len());
    for (p, label) in rows() {
        let reached = (0..classes).filter(|&class| f64::from(p[class]) >= thresholds[class]);
        let confident = most_probable(p, reached);
        if let Some(class) = confident {
            counts[label * classes + class] += 1;
        }
        let said = most_probable(p, 0..classes);
        suspects.push(confident.is_some_and(|class| class != label) && said != Some(label));
    }
    ConfidentJoint { thresholds, counts, suspects }
}

/// All rows, those whose label is most likely wrong first: suspects before the others, and by margin among both.
///
/// # Panics
/// If the lengths disagree, or there is one class alone.
pub fn ranked(probabilities: &[f32], labels: &[u32], joint: &ConfidentJoint) -> Vec<Judged> {
    let classes = joint.thresholds.len();
    assert!(classes > 1, "ranked: one class has no other");
    let judge = |(row, p): (usize, &[f32])| {
        let label = labels[row] as usize;
        let other = most_probable(p, (0..classes).filter(|&class| class != label)).expect("there is another class");
        let self_confidence = f64::from(p[label]);
        let margin = self_confidence - f64::from(p[other]);
        Judged { row, other: other as u32, self_confidence, margin, suspect: joint.suspects[row] }
    };
    let mut judged: Vec<Judged> = probabilities.chunks(classes).enumerate().map(judge).collect();
    judged.sort_by(|a, b| b.suspect.cmp(&a.suspect).then(a.margin.total_cmp(&b.margin)).then(a.row.cmp(&b.row)));
    judged
}

/// The first of the most probable of these classes.
fn most_probable(p: &[f32], classes: impl Iterator<Item = usize>) -> Option<usize> {
    classes.fold(None, |best, class| match best {
        Some(best) if p[best] >= p[class] => Some(best),
        _ => Some(class),
    })
}
