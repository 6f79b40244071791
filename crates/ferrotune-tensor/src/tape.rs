//! The tape of one step: records what ops did, then sweeps backward once. Knows no op by name and no optimizer.

use crate::{Backend, Cpu, Forward, Grads, Op, ParamId, Params, Pool, Shape, Tensor, View};
use std::ops::Range;

mod sweep;
#[cfg(test)]
mod tests;

/// A value on a tape.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Var(u32);

impl Var {
    fn index(self) -> usize {
        self.0 as usize
    }
}

enum Value<B: Backend> {
    Owned(Tensor<B>),
    /// One parameter, or several that adjoin.
    Params(Range<usize>),
    Freed,
}

struct Node<B: Backend> {
    op: Box<dyn Op<B>>,
    inputs: Vec<Var>,
    output: Var,
}

/// The gradient of one value while the sweep runs.
struct Home<B: Backend> {
    tensor: Option<Tensor<B>>,
    written: bool,
}

/// Records one forward pass over borrowed parameters; [`Tape::backward`] sweeps it.
///
/// An op is recorded only if one of its inputs needs a gradient, so what only constants and frozen parameters feed costs no
/// backward pass. Dropping a tape gives its memory back to the pool.
pub struct Tape<'p, B: Backend = Cpu> {
    backend: &'p B,
    params: &'p Params<B>,
    pool: &'p mut Pool<B>,
    recording: bool,
    values: Vec<Value<B>>,
    needs_grad: Vec<bool>,
    param_vars: Vec<Option<Var>>,
    nodes: Vec<Node<B>>,
    /// Ranges of nodes whose values were given up after forward, ascending and disjoint.
    checkpoints: Vec<Range<usize>>,
    in_checkpoint: bool,
}

impl<'p, B: Backend> Tape<'p, B> {
    /// A tape for a training step.
    pub fn new(backend: &'p B, params: &'p Params<B>, pool: &'p mut Pool<B>) -> Self {
        Tape::with(backend, params, pool, true)
    }

    fn with(backend: &'p B, params: &'p Params<B>, pool: &'p mut Pool<B>, recording: bool) -> Self {
        pool.next_pass();
        let param_vars = vec![None; params.layout().entries().len()];
        Tape {
            backend,
            params,
            pool,
            recording,
            values: Vec::new(),
            needs_grad: Vec::new(),
            param_vars,
            nodes: Vec::new(),
            checkpoints: Vec::new(),
            in_checkpoint: false,
        }
    }

    /// A tape that records nothing: for evaluation and prediction.
    ///
    /// # Panics
    /// If an optimizer owes updates to some rows of a parameter.
    pub fn inference(backend: &'p B, params: &'p Params<B>, pool: &'p mut Pool<B>) -> Self {
        params.assert_settled();
        Tape::with(backend, params, pool, false)
    }

    /// The device.
    pub fn backend(&self) -> &'p B {
        self.backend
    }

    /// The parameters.
    pub fn params(&self) -> &'p Params<B> {
        self.params
    }

    fn push(&mut self, value: Value<B>, needs_grad: bool) -> Var {
        self.values.push(value);
        self.needs_grad.push(needs_grad);
        Var(self.values.len() as u32 - 1)
    }

    /// A value without a gradient.
    pub fn constant(&mut self, tensor: Tensor<B>) -> Var {
        self.push(Value::Owned(tensor), false)
    }

    /// A value without a gradient, copied from host memory into a pooled tensor.
    #[track_caller]
    pub fn constant_from(&mut self, shape: impl Into<Shape>, values: &[f32]) -> Var {
        let shape = shape.into();
        assert!(
            values.len() == shape.len(),
            "constant: shape {shape:?} needs {} values, got {}",
            shape.len(),
            values.len()
        );
        let mut tensor = self.pool.take(shape);
        self.backend.upload(tensor.data_mut(), values);
        self.constant(tensor)
    }

    /// A parameter. It needs a gradient if it is trainable.
    pub fn param(&mut self, id: ParamId) -> Var {
        if let Some(var) = self.param_vars[id.index()] {
            return var;
        }
        let var = self.joined(&[id]);
        self.param_vars[id.index()] = Some(var);
        var
    }

    /// Parameters that adjoin in the layout, read as one matrix (or vector) of all their rows: one product instead of several.
    /// It needs a gradient if one of them is trainable; only the trainable ones get theirs.
    ///
    /// # Panics
    /// If they are not declared one below the other ([`Scope::param_below`](crate::Scope::param_below)) in this order.
    #[track_caller]
    pub fn joined(&mut self, ids: &[ParamId]) -> Var {
        let ascend = ids.windows(2).all(|pair| pair[0].index() + 1 == pair[1].index());
        assert!(
            ascend && !ids.is_empty(),
            "tape: expected parameters that are declared one after the other, got {ids:?}"
        );
        let needs_grad = self.recording && ids.iter().any(|&id| self.params.is_trainable(id));
        let ids = ids[0].index()..ids[0].index() + ids.len();
        self.params.layout().joined(ids.clone());
        self.push(Value::Params(ids), needs_grad)
    }

    /// The value of a variable.
    #[track_caller]
    pub fn get(&self, var: Var) -> View<'_, B> {
        lookup(&self.values, self.params, var)
    }

    /// The shape of a variable.
    #[track_caller]
    pub fn shape(&self, var: Var) -> Shape {
        self.get(var).shape
    }

    /// Copies a variable to host memory.
    #[track_caller]
    pub fn download(&self, var: Var) -> Vec<f32> {
        self.backend.download(self.get(var).data)
    }

    /// The one number of a variable, which may still be under way.
    #[track_caller]
    pub fn scalar(&self, var: Var) -> B::Scalar {
        let value = self.get(var);
        assert!(value.shape.len() == 1, "tape: expected one number, got {:?}", value.shape);
        self.backend.scalar(value.data)
    }

    /// Whether a backward pass would compute the gradient of this variable.
    pub fn needs_grad(&self, var: Var) -> bool {
        self.needs_grad[var.index()]
    }

    /// How many ops were recorded for backward.
    pub fn recorded(&self) -> usize {
        self.nodes.len()
    }

    /// Runs an op forward and records it if some input needs a gradient.
    ///
    /// # Panics
    /// If it reads the whole of a parameter, and an optimizer owes updates to some of its rows ([`Grads::by_rows`]).
    #[track_caller]
    pub fn apply(&mut self, mut op: impl Op<B> + 'static, inputs: &[Var]) -> Var {
        for (i, v) in inputs.iter().enumerate() {
            if let Value::Params(ids) = &self.values[v.index()] {
                let stale = op.rows(i).is_none() && self.params.is_owed(ids.clone());
                let name = &self.params.layout().entries()[ids.start].name;
                assert!(
                    !stale,
                    "tape: op `{}` reads all rows of `{name}`, and the optimizer owes updates to some (Grads::by_rows)",
                    op.name()
                );
            }
        }
        let x: Vec<View<'_, B>> = inputs.iter().map(|&v| lookup(&self.values, self.params, v)).collect();
        let y = op.forward(Forward { backend: self.backend, x: &x, pool: self.pool });
        drop(x);
        let needs_grad = inputs.iter().any(|v| self.needs_grad[v.index()]);
        let output = self.push(Value::Owned(y), needs_grad);
        if needs_grad {
            self.nodes.push(Node { op: Box::new(op), inputs: inputs.to_vec(), output });
        } else {
            op.release(self.pool);
        }
        output
    }

    /// Runs `body`. If nothing in it was recorded (evaluation, or a frozen layer), everything that it created except its result
    /// is freed at once, so a deep frozen model needs the memory of one layer.
    pub fn scope(&mut self, body: impl FnOnce(&mut Self) -> Var) -> Var {
        let (first, recorded) = (self.values.len(), self.nodes.len());
        let result = body(self);
        if self.nodes.len() == recorded {
            for index in first..self.values.len() {
                if index != result.index() && matches!(self.values[index], Value::Owned(_)) {
                    self.free(index);
                }
            }
        }
        result
    }

    /// [`Tape::scope`], which gives up also what was recorded, but for the result: activation checkpointing (Chen et al. 2016,
    /// <https://arxiv.org/abs/1604.06174>). Before backward reaches the scope, its ops run forward once more, on the same inputs and so
    /// to the same bits. The memory of a step is then that of the results and of one scope, for one more forward pass of time.
    ///
    /// Within another checkpoint it is a plain scope: the outer one gives up all.
    pub fn checkpoint(&mut self, body: impl FnOnce(&mut Self) -> Var) -> Var {
        if self.in_checkpoint {
            return self.scope(body);
        }
        self.in_checkpoint = true;
        let first = self.nodes.len();
        let result = self.scope(body);
        self.in_checkpoint = false;
        for at in first..self.nodes.len() {
            let output = self.nodes[at].output;
            self.nodes[at].op.release(self.pool);
            if output != result {
                self.free(output.index());
            }
        }
        if first < self.nodes.len() {
            self.checkpoints.push(first..self.nodes.len());
        }
        result
    }

    /// Runs the ops of a checkpoint again, for what they saved and for the values that were freed.
    fn replay(&mut self, nodes: Range<usize>) {
        for node in &mut self.nodes[nodes] {
            let x: Vec<View<'_, B>> = node.inputs.iter().map(|&v| lookup(&self.values, self.params, v)).collect();
            let y = node.op.forward(Forward { backend: self.backend, x: &x, pool: self.pool });
            drop(x);
            match &mut self.values[node.output.index()] {
                freed @ Value::Freed => *freed = Value::Owned(y),
                // The result was kept.
                _ => self.pool.give(y),
            }
        }
    }

    fn free(&mut self, index: usize) {
        if let Value::Owned(tensor) = std::mem::replace(&mut self.values[index], Value::Freed) {
            self.pool.give(tensor);
        }
    }

    /// The reverse sweep. `seed` is the gradient of what is minimised by `loss` (1, or a share of it). Gradients of parameters
    /// are accumulated into `grads`: the first to write one since [`Grads::clear`] overwrites.
    ///
    /// # Panics
    /// If an op was asked for a gradient and wrote none (gradient coverage), naming the op and the argument; if the tape was made by
    /// [`Tape::inference`].
    pub fn backward(mut self, loss: Var, seed: f32, grads: &mut Grads<B>) {
        assert!(self.recording, "tape: backward on a tape of Tape::inference, which records nothing");
        let mut homes: Vec<Home<B>> = self.values.iter().map(|_| Home { tensor: None, written: false }).collect();
        let mut start = self.pool.take(self.shape(loss));
        self.backend.fill(start.data_mut(), seed);
        homes[loss.index()] = Home { tensor: Some(start), written: true };
        while !self.nodes.is_empty() {
            if let Some(nodes) = self.checkpoints.pop_if(|nodes| nodes.end == self.nodes.len()) {
                self.replay(nodes);
            }
            let Some(mut node) = self.nodes.pop() else { break };
            let home = std::mem::replace(&mut homes[node.output.index()], Home { tensor: None, written: false });
            if let (Some(dy), true) = (home.tensor, home.written) {
                self.sweep(&mut node, &dy, &mut homes, grads);
                self.pool.give(dy);
            }
            node.op.release(self.pool);
            // Whoever read it came later on the tape, and was swept before.
            self.free(node.output.index());
        }
        for home in homes {
            if let Some(tensor) = home.tensor {
                self.pool.give(tensor);
            }
        }
    }
}

impl<B: Backend> Drop for Tape<'_, B> {
    fn drop(&mut self) {
        while let Some(mut node) = self.nodes.pop() {
            node.op.release(self.pool);
        }
        for index in 0..self.values.len() {
            self.free(index);
        }
    }
}

#[track_caller]
fn lookup<'a, B: Backend>(values: &'a [Value<B>], params: &'a Params<B>, var: Var) -> View<'a, B> {
    match &values[var.index()] {
        Value::Owned(tensor) => tensor.view(),
        Value::Params(ids) => params.joined(ids.clone()),
        Value::Freed => panic!("tape: variable {} was freed at the end of the scope that made it", var.index()),
    }
}
