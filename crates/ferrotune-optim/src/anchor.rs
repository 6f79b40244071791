//! L2 towards the starting point (L2-SP): pretrained weights are pulled back to where they came from, not to zero. Li, Grandvalet and Davoine 2018,
//! <https://arxiv.org/abs/1802.01483>. Must not know the model: the caller says which parameters have a past.

use ferrotune_tensor::{Backend, Grads, ParamId, Params, Role};

/// `factor/2·Σ(w − w₀)²` over some parameters, a term of the loss.
pub struct Anchor<B: Backend> {
    factor: f32,
    /// Parameters and where their starting values lie in `start`.
    ids: Vec<(ParamId, usize)>,
    start: B::Buf,
    len: usize,
}

impl<B: Backend> Anchor<B> {
    /// Keeps the present values of the trained weights (rank two and above) whose names `has_past` accepts.
    pub fn new(backend: &B, params: &Params<B>, factor: f32, has_past: impl Fn(&str) -> bool) -> Anchor<B> {
        let layout = params.layout();
        let kept = |id: &ParamId| layout.entry(*id).shape.dims().len() >= 2 && has_past(&layout.entry(*id).name);
        let mut len = 0;
        let mut ids = Vec::new();
        for id in params.trainable_ids().filter(kept) {
            ids.push((id, len));
            len += layout.entry(id).shape.len();
        }
        let mut start = backend.alloc(len, Role::Parameter);
        for &(id, at) in &ids {
            let values = backend.download(params.get(id).data);
            backend.upload(B::slice_mut(&mut start, at..at + values.len()), &values);
        }
        Anchor { factor, ids, start, len }
    }

    /// Numbers that are kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if no parameter is held.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Adds the gradient, `factor·(w − w₀)`, where a gradient was written, and returns the value of the term.
    pub fn apply(&self, backend: &B, params: &Params<B>, grads: &mut Grads<B>) -> B::Scalar {
        let written: Vec<ParamId> = grads.written_ids().collect();
        let mut values = Vec::new();
        for &(id, at) in self.ids.iter().filter(|(id, _)| written.contains(id)) {
            let start = B::slice(&self.start, at..at + params.layout().entry(id).shape.len());
            values.push(backend.anchor(params.get(id).data, start, self.factor));
            backend.anchor_add(grads.get_mut(id), params.get(id).data, start, self.factor);
        }
        backend.total(&values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrotune_tensor::init::Init;
    use ferrotune_tensor::{Cpu, Layout, Pool, Tape, ops};

    #[test]
    fn accepted_weights_with_a_gradient_are_pulled_to_where_they_started() {
        let mut layout = Layout::new();
        let names = ["old.weight", "old.bias", "new.weight", "idle.weight"];
        let shapes: [&[usize]; 4] = [&[2, 2], &[2], &[2, 2], &[2, 2]];
        let ids: Vec<ParamId> =
            names.iter().zip(shapes).map(|(name, shape)| layout.root().param(name, shape, Init::Normal(1.0))).collect();
        let mut params = Params::init(&Cpu, layout, 3);
        let anchor = Anchor::new(&Cpu, &params, 0.5, |name| !name.starts_with("new."));
        assert_eq!((anchor.len(), anchor.is_empty()), (8, false));
        let start = params.get(ids[0]).data.to_vec();
        for &id in &ids {
            let moved: Vec<f32> = params.get(id).data.iter().enumerate().map(|(i, w)| w + i as f32).collect();
            params.set(&Cpu, id, &moved);
        }
        let mut grads = Grads::new(&Cpu, &params);
        // The sum of the first three: a gradient of 1 for each of their numbers.
        let mut pool = Pool::new(Cpu);
        let mut tape = Tape::new(&Cpu, &params, &mut pool);
        let mut sum_of = |id| {
            let x = tape.param(id);
            tape.apply(ops::Sum { scale: 1.0 }, &[x])
        };
        let sums: Vec<_> = ids[..3].iter().map(|&id| sum_of(id)).collect();
        let sum = sums[1..].iter().fold(sums[0], |sum, &next| tape.apply(ops::Add, &[sum, next]));
        tape.backward(sum, 1.0, &mut grads);
        let value = anchor.apply(&Cpu, &params, &mut grads);
        let moved = params.get(ids[0]).data;
        let gap: Vec<f32> = moved.iter().zip(&start).map(|(w, s)| w - s).collect();
        let want = 0.25 * gap.iter().map(|&d| f64::from(d).powi(2)).sum::<f64>();
        assert!((value - want).abs() <= 1e-6 * want, "{value} {want}");
        let pulled: Vec<f32> = gap.iter().map(|d| 0.5f32.mul_add(*d, 1.0)).collect();
        grads.get(ids[0]).data.iter().zip(&pulled).for_each(|(g, w)| assert!((g - w).abs() <= 1e-6, "{g} {w}"));
        assert_eq!(grads.get(ids[1]).data, [1.0; 2], "a bias");
        assert_eq!(grads.get(ids[2]).data, [1.0; 4], "a weight without a past");
        assert!(grads.written_ids().all(|id| id != ids[3]), "a weight without a gradient stays so");
    }
}
