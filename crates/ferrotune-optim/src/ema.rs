//! An exponential moving average of the trained weights (Polyak averaging with a decay, as in Szegedy et al. 2016,
//! <https://arxiv.org/abs/1512.00567>): smoother than the last step's weights. It follows a run and must not change it.

use ferrotune_tensor::{Backend, ParamId, Params, Pool, Tensor};

/// `a ← d·a + (1 − d)·w` after each step, `d` being the decay or, while that is smaller, `(1 + t)/(10 + t)` after `t` earlier steps: an
/// average over few steps must not remember the start for long (the rule of TensorFlow's ExponentialMovingAverage).
pub struct Ema<B: Backend> {
    decay: f64,
    /// The trained parameters in their order, with their averages.
    averages: Vec<(ParamId, Tensor<B>)>,
}

impl<B: Backend> Ema<B> {
    /// Starts at the present values of the trained parameters; `decay` is in `(0, 1)`.
    pub fn new(backend: &B, params: &Params<B>, pool: &mut Pool<B>, decay: f64) -> Ema<B> {
        let start = |id| {
            let mut average = pool.take_statistic(params.get(id).shape);
            backend.upload(average.data_mut(), &backend.download(params.get(id).data));
            (id, average)
        };
        Ema { decay, averages: params.trainable_ids().map(start).collect() }
    }

    /// Takes the weights after a step into the average; `before` steps were taken earlier.
    ///
    /// # Panics
    /// If the optimizer has put off updates of a parameter.
    pub fn update(&mut self, backend: &B, params: &Params<B>, pool: &mut Pool<B>, before: u64) {
        let decay = self.decay.min((1 + before) as f64 / (10 + before) as f64);
        for (id, average) in &mut self.averages {
            let mut next = pool.take_statistic(average.shape);
            backend.scale_into(Some((next.data_mut(), 0.0)), decay as f32, average.data());
            backend.axpy(next.data_mut(), (1.0 - decay) as f32, params.get(*id).data);
            pool.give(std::mem::replace(average, next));
        }
    }

    /// Puts the averages in the place of the weights and keeps these meanwhile; a second call puts both back.
    pub fn exchange(&mut self, backend: &B, params: &mut Params<B>) {
        for (id, average) in &mut self.averages {
            let weights = backend.download(params.get(*id).data);
            params.set(backend, *id, &backend.download(average.data()));
            backend.upload(average.data_mut(), &weights);
        }
    }

    /// The averages of each trained parameter, in their order.
    pub fn values(&self, backend: &B) -> impl Iterator<Item = Vec<f32>> {
        self.averages.iter().map(|(_, average)| backend.download(average.data()))
    }

    /// Puts back what [`Self::values`] gave, one after the other.
    ///
    /// # Panics
    /// If there are fewer numbers.
    pub fn restore(&mut self, backend: &B, values: &[f32]) {
        let mut at = 0;
        for (_, average) in &mut self.averages {
            let len = average.shape.len();
            backend.upload(average.data_mut(), &values[at..at + len]);
            at += len;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferrotune_tensor::init::Init;
    use ferrotune_tensor::{Cpu, Layout};

    #[test]
    fn the_average_follows_the_trained_weights_and_changes_places_with_them() {
        let mut layout = Layout::new();
        let ids: Vec<ParamId> =
            ["a", "frozen", "b"].iter().map(|name| layout.root().param(name, [70], Init::Normal(1.0))).collect();
        let mut params = Params::init(&Cpu, layout, 1);
        params.set_trainable(ids[1], false);
        let weights = |params: &Params<Cpu>| -> Vec<f32> {
            [ids[0], ids[2]].iter().flat_map(|&id| params.get(id).data.to_vec()).collect()
        };
        let mut pool = Pool::new(Cpu);
        let mut ema = Ema::new(&Cpu, &params, &mut pool, 0.4);
        let mut expected: Vec<f64> = weights(&params).into_iter().map(f64::from).collect();
        for step in 0..12u64 {
            for (k, &id) in ids.iter().enumerate() {
                let values: Vec<f32> = (0..70).map(|i| ((i * 13 + k as u64 + step * 7) % 17) as f32 / 5.0).collect();
                params.set(&Cpu, id, &values);
            }
            // 1/10, 2/11, ... reach 0.4 after 5 steps.
            let decay = [0.4, (1.0 + step as f64) / (10.0 + step as f64)].into_iter().fold(1.0, f64::min);
            let now = weights(&params);
            expected.iter_mut().zip(&now).for_each(|(a, &w)| *a = decay * *a + (1.0 - decay) * f64::from(w));
            ema.update(&Cpu, &params, &mut pool, step);
        }
        let before: Vec<f32> = ids.iter().flat_map(|&id| params.get(id).data.to_vec()).collect();
        ema.exchange(&Cpu, &mut params);
        for (got, expected) in weights(&params).iter().zip(&expected) {
            // Three roundings a step of numbers below 4, and old ones fade.
            assert!((f64::from(*got) - expected).abs() < 4e-6, "{got} {expected}");
        }
        assert_eq!(params.get(ids[1]).data, &before[70..140]);
        ema.exchange(&Cpu, &mut params);
        assert_eq!(ids.iter().flat_map(|&id| params.get(id).data.to_vec()).collect::<Vec<_>>(), before);
        let values = ema.values(&Cpu).collect::<Vec<_>>().concat();
        let mut other = Ema::new(&Cpu, &params, &mut pool, 0.4);
        other.restore(&Cpu, &values);
        assert_eq!(other.values(&Cpu).collect::<Vec<_>>().concat(), values);
    }
}
