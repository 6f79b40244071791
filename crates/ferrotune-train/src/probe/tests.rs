//! The probe learns what is linear, and its probabilities for a row do not come from that row.

use super::*;
use ferrotune_tensor::Cpu;

/// Three classes of rows around corners of a triangle, in the plane.
fn rows(count: usize) -> (Vec<f32>, Vec<u32>) {
    let corner = [(3.0, 0.0), (-2.0, 2.0), (-2.0, -2.0)];
    let mut values = Vec::new();
    let labels = (0..count as u32).map(|n| n % 3).collect::<Vec<_>>();
    for (n, &label) in labels.iter().enumerate() {
        let (x, y) = corner[label as usize];
        let noise = |k: usize| ((n * 7919 + k * 104_729) % 1000) as f32 / 1000.0 - 0.5;
        values.extend([x + noise(1), y + noise(2)]);
    }
    (values, labels)
}

fn said(p: &[f32]) -> u32 {
    (0..p.len()).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap() as u32
}

#[test]
fn a_row_is_judged_by_the_others() {
    let (values, mut labels) = rows(900);
    let truth = labels.clone();
    labels[30] = (labels[30] + 1) % 3;
    let folds: Vec<usize> = (0..900).map(|row| row / 3 % 5).collect();
    let features = Features { values: &values, width: 2 };
    let p = out_of_fold(&Cpu, &mut Pool::new(Cpu), features, &labels, 3, &folds, 0);
    assert_eq!(p.chunks(3).map(said).collect::<Vec<_>>(), truth);
    for p in p.chunks(3) {
        assert!((p.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
    // The wrong label is no part of what its own row is judged by: flipped back, the row has the same bits.
    let again = out_of_fold(&Cpu, &mut Pool::new(Cpu), features, &truth, 3, &folds, 0);
    assert_eq!(p[90..93], again[90..93]);
    assert_ne!(p[..90], again[..90]);
}

#[test]
fn features_are_centred_with_unit_variance() {
    let (mut values, _) = rows(300);
    Standard::of(&values, 2).apply(&mut values);
    for column in 0..2 {
        let mean = values.iter().skip(column).step_by(2).sum::<f32>() / 300.0;
        assert!(mean.abs() < 1e-5, "{mean}");
    }
    let variance = values.iter().map(|x| x * x).sum::<f32>() / 600.0;
    assert!((variance - 1.0).abs() < 1e-4, "{variance}");
    let mut same = vec![2.0; 8];
    Standard::of(&same, 2).apply(&mut same);
    assert_eq!(same, [0.0; 8]);
}
