//! One op of the reverse sweep: where the gradient of each of its inputs goes, and how that memory gets to the op and back. Must not know which ops there are.

use super::{Home, Node, Tape, Value, Var, lookup};
use crate::{Backend, Backward, Grads, Slot, Tensor, View};
use std::ops::Range;

/// Where the gradient of an input goes.
enum Goal<B: Backend> {
    /// Nobody wants it.
    Nowhere,
    /// To the flat gradients of these parameters.
    Flat(Range<usize>),
    /// Into this memory, with beta: its home, or if the variable was an input before, memory that is added to it afterwards.
    Memory(Tensor<B>, f32),
}

impl<B: Backend> Tape<'_, B> {
    /// Moves the memory for the gradients of an op's inputs out of their homes, so that the op sees plain disjoint `&mut` memory, lets it write, and moves it back.
    pub(super) fn sweep(&mut self, node: &mut Node<B>, dy: &Tensor<B>, homes: &mut [Home<B>], grads: &mut Grads<B>) {
        let mut goals = self.goals(node, homes);
        self.run(node, dy, &mut goals, grads);
        for (goal, &var) in goals.into_iter().zip(&node.inputs) {
            match goal {
                Goal::Nowhere => {}
                Goal::Flat(ids) => {
                    ids.for_each(|id| grads.written[id] = self.params.is_trainable(self.params.layout().id(id)));
                }
                Goal::Memory(tensor, _) => self.bring_home(tensor, var, homes, grads),
            }
        }
    }

    fn goals(&mut self, node: &Node<B>, homes: &mut [Home<B>]) -> Vec<Goal<B>> {
        let goal = |(i, &var): (usize, &Var)| {
            if !self.needs_grad[var.index()] {
                return Goal::Nowhere;
            }
            let is_first = !node.inputs[..i].contains(&var);
            match &self.values[var.index()] {
                Value::Params(ids) if is_first => Goal::Flat(ids.clone()),
                Value::Owned(value) if is_first => {
                    let home = &mut homes[var.index()];
                    let tensor = home.tensor.take().unwrap_or_else(|| self.pool.take(value.shape));
                    Goal::Memory(tensor, if home.written { 1.0 } else { 0.0 })
                }
                _ => Goal::Memory(self.pool.take(lookup(&self.values, self.params, var).shape), 0.0),
            }
        };
        node.inputs.iter().enumerate().map(goal).collect()
    }

    /// Runs the op's backward.
    ///
    /// # Panics
    /// If it leaves a gradient that is wanted unwritten.
    fn run(&mut self, node: &mut Node<B>, dy: &Tensor<B>, goals: &mut [Goal<B>], grads: &mut Grads<B>) {
        let mut in_flat: Vec<(usize, Range<usize>)> = Vec::new();
        let mut slots: Vec<Slot<'_, B>> = Vec::with_capacity(goals.len());
        for (i, goal) in goals.iter_mut().enumerate() {
            slots.push(match goal {
                Goal::Memory(tensor, beta) => Slot::new(tensor.data_mut(), *beta),
                Goal::Nowhere => Slot::unwanted(),
                Goal::Flat(ids) => {
                    in_flat.push((i, ids.clone()));
                    Slot::unwanted()
                }
            });
        }
        open_flat(&mut slots, in_flat, node, self.backend, grads, self.params.layout().flat_len());
        let x: Vec<View<'_, B>> = node.inputs.iter().map(|&v| lookup(&self.values, self.params, v)).collect();
        let y = lookup(&self.values, self.params, node.output);
        let (backend, pool) = (self.backend, &mut *self.pool);
        node.op.backward(Backward { backend, x: &x, y, dy: dy.view(), dx: &mut slots, pool });
        for (i, slot) in slots.iter().enumerate() {
            assert!(
                slot.data.is_none(),
                "gradient coverage: op `{}` was asked for the gradient of input {i} and wrote none",
                node.op.name()
            );
        }
    }

    /// Puts the gradient of a variable where that of others will be added, or adds it there.
    fn bring_home(&mut self, tensor: Tensor<B>, var: Var, homes: &mut [Home<B>], grads: &mut Grads<B>) {
        let home = &mut homes[var.index()];
        match (&self.values[var.index()], &mut home.tensor) {
            (Value::Owned(_), None) => *home = Home { tensor: Some(tensor), written: true },
            (Value::Owned(_), Some(sum)) => {
                self.backend.axpy(sum.data_mut(), 1.0, tensor.data());
                self.pool.give(tensor);
            }
            (Value::Params(ids), _) => {
                let (_, range) = self.params.layout().joined(ids.clone());
                self.backend.axpy(B::slice_mut(&mut grads.flat, range), 1.0, tensor.data());
                self.pool.give(tensor);
            }
            (Value::Freed, _) => unreachable!("a freed value is the input of no recorded op"),
        }
    }
}

/// Gives the slots of parameters their parts of the flat gradients. Of tables these are the rows that the op reads, where gradients are kept by rows.
fn open_flat<'g, B: Backend>(
    slots: &mut [Slot<'g, B>],
    mut in_flat: Vec<(usize, Range<usize>)>,
    node: &Node<B>,
    backend: &B,
    grads: &'g mut Grads<B>,
    flat_len: usize,
) {
    let (inputs, op) = (&node.inputs, &node.op);
    // Of a table that the op reads several times, the rows of all.
    let rows_of = |i: usize| {
        let same = (i..inputs.len()).filter(|&j| inputs[j] == inputs[i]);
        same.map(|j| op.rows(j)).collect::<Option<Vec<_>>>().map(|rows| rows.concat())
    };
    in_flat.sort_by_key(|(_, ids)| ids.start);
    let mut open = |&(i, ref ids): &(usize, Range<usize>)| {
        let rows = if grads.is_by_rows() { rows_of(i) } else { None };
        let by_rows = rows.and_then(|rows| grads.open_rows(backend, ids.clone(), &rows));
        by_rows.map_or_else(|| grads.open(backend, ids.clone()), |range| (range, 1.0))
    };
    let places: Vec<_> = in_flat.iter().map(&mut open).collect();
    let mut rest = B::slice_mut(&mut grads.flat, 0..flat_len);
    let mut at = 0;
    for (&(i, _), (range, beta)) in in_flat.iter().zip(places) {
        assert!(at <= range.start, "tape: op `{}` has a parameter twice, alone and joined", op.name());
        let (_, tail) = B::split_mut(rest, range.start - at);
        let (mine, tail) = B::split_mut(tail, range.len());
        slots[i] = Slot::new(mine, beta);
        (rest, at) = (tail, range.end);
    }
}
