//! What every Backend must compute, as cases that run on any of them: the same inputs give the numbers of [`Cpu`](struct@crate::Cpu) within a tolerance. (The CPU's own
//! numbers are held to textbook versions in f64 by its kernels' tests, and its gradients by [`gradcheck`](crate::gradcheck).)
//!
//! One file a family of functions. A case writes to memory full of not-a-numbers where it overwrites, asks for gradients with beta 0 and 1, and leaves
//! one out. It must not know which device it runs on.

mod activation;
mod add_norm;
mod attention;
mod elementwise;
mod embedding;
mod linear;
mod losses;
mod optimizer;
mod reduce;
mod sequences;
mod softmax;

use crate::{Backend, Cpu, Pool, Role, Shape, Tensor};

/// A name and the numbers that came out.
pub type Numbers = Vec<(String, Vec<f32>)>;

/// One function of a backend, or a pair of forward and backward, on some sizes.
pub struct Case<B: Backend> {
    /// The function, and what is particular about the sizes.
    pub name: &'static str,
    run: fn(&mut Bench<'_, B>),
}

/// Where a case runs.
pub struct Bench<'b, B: Backend> {
    /// The device.
    pub backend: &'b B,
    /// Its buffers.
    pub pool: Pool<B>,
    numbers: Numbers,
}

/// The betas of the contract of targets.
pub(crate) const BETAS: [f32; 2] = [0.0, 1.0];

impl<B: Backend> Bench<'_, B> {
    /// A tensor of numbers that look random, of mean 0 and variance 1, the same for the same seed and on every device.
    pub fn input(&mut self, shape: impl Into<Shape>, seed: u64) -> Tensor<B> {
        let tensor = self.pool.take(shape);
        self.filled(tensor, seed)
    }

    /// Such a tensor with the role of a parameter.
    pub fn parameter(&mut self, shape: impl Into<Shape>, seed: u64) -> Tensor<B> {
        self.of_role(Role::Parameter, shape.into(), seed)
    }

    /// Such a tensor with the role of a gradient of a parameter: where beta is 0, of not-a-numbers.
    pub fn gradient(&mut self, shape: impl Into<Shape>, beta: f32, seed: u64) -> Tensor<B> {
        let tensor = self.of_role(Role::Gradient, shape.into(), seed);
        self.spoiled(tensor, beta)
    }

    /// Such a tensor for the gradient of an activation.
    pub fn target(&mut self, shape: impl Into<Shape>, beta: f32, seed: u64) -> Tensor<B> {
        let tensor = self.input(shape, seed);
        self.spoiled(tensor, beta)
    }

    /// Memory for an output, full of not-a-numbers.
    pub fn output(&mut self, shape: impl Into<Shape>) -> Tensor<B> {
        let tensor = self.pool.take(shape);
        self.spoiled(tensor, 0.0)
    }

    /// The same for statistics and losses.
    pub fn statistic(&mut self, shape: impl Into<Shape>) -> Tensor<B> {
        let tensor = self.pool.take_statistic(shape);
        self.spoiled(tensor, 0.0)
    }

    fn of_role(&mut self, role: Role, shape: Shape, seed: u64) -> Tensor<B> {
        let tensor = Tensor { shape, role, buf: self.backend.alloc(shape.len(), role) };
        self.filled(tensor, seed)
    }

    fn filled(&mut self, mut tensor: Tensor<B>, seed: u64) -> Tensor<B> {
        let numbers = values(tensor.shape.len(), seed);
        self.backend.upload(tensor.data_mut(), &numbers);
        tensor
    }

    fn spoiled(&mut self, mut tensor: Tensor<B>, beta: f32) -> Tensor<B> {
        if beta == 0.0 {
            let nothing = vec![f32::NAN; tensor.shape.len()];
            self.backend.upload(tensor.data_mut(), &nothing);
        }
        tensor
    }

    /// Notes a result.
    pub fn note(&mut self, what: impl Into<String>, tensor: &Tensor<B>) {
        self.numbers.push((what.into(), self.backend.download(tensor.data())));
    }

    /// Notes a part of a tensor.
    pub fn note_part(&mut self, what: impl Into<String>, part: B::Ref<'_>) {
        self.numbers.push((what.into(), self.backend.download(part)));
    }

    /// Notes a number.
    pub fn note_scalar(&mut self, what: impl Into<String>, scalar: &B::Scalar) {
        self.numbers.push((what.into(), vec![self.backend.read(scalar) as f32]));
    }
}

/// Numbers of mean 0 and variance 1 that look random; a function of their place and the seed.
pub(crate) fn values(len: usize, seed: u64) -> Vec<f32> {
    let bits = |i: u64| {
        let mut x = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0xd1b5_4a32_d192_ed03);
        x = (x ^ x >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        (x ^ x >> 32) as u32
    };
    // Uniform on ±√3.
    (0..len as u64).map(|i| (f64::from(bits(i)) / 4_294_967_296.0 - 0.5) as f32 * 12f32.sqrt()).collect()
}

/// All cases.
pub fn cases<B: Backend>() -> Vec<Case<B>> {
    let families = [
        activation::cases(),
        add_norm::cases(),
        attention::cases(),
        elementwise::cases(),
        embedding::cases(),
        linear::cases(),
        losses::cases(),
        optimizer::cases(),
        reduce::cases(),
        sequences::cases(),
        softmax::cases(),
    ];
    families.into_iter().flatten().collect()
}

/// Runs the cases whose names contain `only` on a backend, and compares with [`Cpu`](struct@crate::Cpu) in f32: no number may differ by more than `tolerance` times the largest
/// of its result. Returns how many cases ran.
///
/// # Panics
/// With the case, the result and the place of the largest difference.
pub fn check<B: Backend + Clone>(backend: &B, only: &str, tolerance: f32) -> usize {
    let ours = cases::<B>().into_iter().zip(cases::<Cpu>());
    let chosen: Vec<_> = ours.filter(|(case, _)| case.name.contains(only)).collect();
    for (case, reference) in &chosen {
        let (got, want) = (run(backend, case), run(&Cpu, reference));
        assert_eq!(got.len(), want.len(), "{}: results", case.name);
        for ((what, got), (_, want)) in got.iter().zip(&want) {
            assert_eq!(got.len(), want.len(), "{}: {what}: numbers", case.name);
            let scale = want.iter().fold(0f32, |most, x| most.max(x.abs()));
            for (i, (got, want)) in got.iter().zip(want).enumerate() {
                let close = (got - want).abs() <= tolerance * scale || got.to_bits() == want.to_bits();
                assert!(close, "{}: {what}[{i}]: {got}, expected {want}; the largest is {scale}", case.name);
            }
        }
    }
    chosen.len()
}

fn run<B: Backend + Clone>(backend: &B, case: &Case<B>) -> Numbers {
    let mut bench = Bench { backend, pool: Pool::new(backend.clone()), numbers: Vec::new() };
    (case.run)(&mut bench);
    bench.numbers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;

    #[test]
    fn the_cpu_in_bf16_keeps_the_contract() {
        if let Some(cpu) = Cpu::with(Precision::Bf16) {
            // Factors are rounded to 8 bits: 2⁻⁸ each, and their errors add up like a random walk.
            assert!(check(&cpu, "", 0.02) > 0);
        }
    }

    #[test]
    fn inputs_have_mean_0_and_variance_1() {
        let mut numbers = values(1 << 16, 3);
        let mean = numbers.iter().sum::<f32>() / numbers.len() as f32;
        numbers.iter_mut().for_each(|x| *x *= *x);
        let variance = numbers.iter().sum::<f32>() / numbers.len() as f32;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
    }
}
