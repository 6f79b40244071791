//! Parameters that adjoin, read as one matrix: values, gradients, freezing, and what may not be joined.

use crate::init::Init;
use crate::ops;
use crate::prelude::*;

/// Two weights (2, 3) and (1, 3) one below the other, then their biases, then a weight apart.
fn layout() -> Layout {
    let mut layout = Layout::new();
    let mut root = layout.root();
    root.param("a.weight", [2, 3], Init::Normal(1.0));
    root.param_below("b.weight", [1, 3], Init::Normal(1.0));
    root.param("a.bias", [2], Init::Normal(1.0));
    root.param_below("b.bias", [1], Init::Normal(1.0));
    root.param("apart", [2, 3], Init::Normal(1.0));
    layout
}

/// One backward pass of Σ (x Wᵀ + b) through these parameters.
fn pass(params: &Params, grads: &mut Grads, weights: &[&str], biases: &[&str]) -> Vec<f32> {
    let mut pool = Pool::new(Cpu);
    let find = |names: &[&str]| names.iter().map(|name| params.layout().find(name).unwrap()).collect::<Vec<_>>();
    let mut tape = Tape::new(&Cpu, params, &mut pool);
    let x = tape.constant_from([2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let (w, b) = (tape.joined(&find(weights)), tape.joined(&find(biases)));
    let y = tape.apply(ops::Linear::new(), &[x, w, b]);
    let value = tape.download(y);
    let loss = tape.apply(ops::Sum { scale: 1.0 }, &[y]);
    tape.backward(loss, 1.0, grads);
    value
}

fn gradient(params: &Params, grads: &Grads, name: &str) -> Vec<f32> {
    Cpu.download(grads.get(params.layout().find(name).unwrap()).data)
}

#[test]
fn joined_parameters_are_one_matrix_and_each_gets_its_gradient() {
    let params = Params::init(&Cpu, layout(), 1);
    let mut grads = Grads::new(&Cpu, &params);
    let joined = pass(&params, &mut grads, &["a.weight", "b.weight"], &["a.bias", "b.bias"]);
    let mut alone = Grads::new(&Cpu, &params);
    let a = pass(&params, &mut alone, &["a.weight"], &["a.bias"]);
    let b = pass(&params, &mut alone, &["b.weight"], &["b.bias"]);
    assert_eq!(joined, [a[0], a[1], b[0], a[2], a[3], b[1]]);
    for name in ["a.weight", "b.weight", "a.bias", "b.bias"] {
        assert_eq!(gradient(&params, &grads, name), gradient(&params, &alone, name), "{name}");
    }
    assert_eq!(grads.uncovered(&params), ["apart"]);

    // One of them alone, then all: the sums of both passes, whoever wrote first.
    let mut mixed = Grads::new(&Cpu, &params);
    pass(&params, &mut mixed, &["b.weight"], &["b.bias"]);
    pass(&params, &mut mixed, &["a.weight", "b.weight"], &["a.bias", "b.bias"]);
    assert_eq!(gradient(&params, &mixed, "a.weight"), [5.0, 7.0, 9.0, 5.0, 7.0, 9.0]);
    assert_eq!(gradient(&params, &mixed, "b.weight"), [10.0, 14.0, 18.0]);
    assert_eq!(gradient(&params, &mixed, "b.bias"), [4.0]);
}

/// Σ gelu(x Wᵀ + b)·dropout(tanh(..)) through two stages, the second of which reads the first's result; with the numbers that the
/// pool holds.
fn staged(params: &Params, checkpoint: bool) -> (Vec<u32>, usize) {
    let id = |name: &str| params.layout().find(name).unwrap();
    let (mut pool, mut grads) = (Pool::new(Cpu), Grads::new(&Cpu, params));
    let mut tape = Tape::new(&Cpu, params, &mut pool);
    let x: Vec<f32> = (0..900).map(|i| ((i * 37 % 101) as f32 - 50.0) / 40.0).collect();
    let mut x = tape.constant_from([300, 3], &x);
    for stage in 0..4 {
        let body = |tape: &mut Tape<'_>| {
            let (w, b) = (tape.joined(&[id("a.weight"), id("b.weight")]), tape.joined(&[id("a.bias"), id("b.bias")]));
            // What a constant feeds is not recorded, and is there when the ops run again.
            let fixed = tape.constant_from([300, 3], &[0.5; 900]);
            let fixed = tape.apply(ops::Tanh, &[fixed]);
            let y = tape.apply(ops::Linear::with_gelu(), &[x, w, b]);
            let y = tape.apply(ops::Dropout { mask: Mask::new(0.3, 1, 2, stage, 4) }, &[y]);
            let y = tape.apply(ops::Mul, &[y, fixed]);
            let y = tape.apply(ops::Tanh, &[y]);
            // The result is not the last that was computed.
            let result = tape.apply(ops::Add, &[y, x]);
            tape.apply(ops::Tanh, &[result]);
            result
        };
        x = if checkpoint { tape.checkpoint(body) } else { tape.scope(body) };
    }
    let loss = tape.apply(ops::Sum { scale: 1.0 }, &[x]);
    let mut bits = tape.download(loss);
    tape.backward(loss, 1.0, &mut grads);
    for name in ["a.weight", "b.weight", "a.bias", "b.bias"] {
        bits.extend(gradient(params, &grads, name));
    }
    (bits.into_iter().map(f32::to_bits).collect(), pool.held())
}

#[test]
fn a_checkpoint_gives_the_same_bits_from_less_memory() {
    let mut params = Params::init(&Cpu, layout(), 1);
    let ((plain, much), (again, little)) = (staged(&params, false), staged(&params, true));
    assert_eq!(plain, again);
    assert!(little * 3 < much * 2, "{little} numbers held with checkpoints, {much} without");
    // A value inside is gone, as that of a scope, and a checkpoint in which nothing was recorded is one.
    for name in ["a.weight", "b.weight", "a.bias", "b.bias"] {
        let id = params.layout().find(name).unwrap();
        params.set_trainable(id, false);
    }
    let mut pool = Pool::new(Cpu);
    let mut tape = Tape::new(&Cpu, &params, &mut pool);
    let x = tape.constant_from([1, 3], &[1.0; 3]);
    let mut inside = None;
    let y = tape.checkpoint(|tape| {
        inside = Some(tape.apply(ops::Tanh, &[x]));
        tape.apply(ops::Tanh, &[inside.unwrap()])
    });
    assert_eq!((tape.recorded(), tape.download(y).len()), (0, 3));
    let read = std::panic::AssertUnwindSafe(|| tape.download(inside.unwrap()));
    assert!(std::panic::catch_unwind(read).is_err());
}

/// An op that writes no gradient.
struct Forgetful;

impl Op for Forgetful {
    fn name(&self) -> &'static str {
        "forgetful"
    }
    fn forward(&mut self, cx: Forward<'_, '_, Cpu>) -> Tensor {
        let mut y = cx.pool.take(cx.x[0].shape);
        y.data_mut().copy_from_slice(cx.x[0].data);
        y
    }
    fn backward(&mut self, _: Backward<'_, '_, Cpu>) {}
}

#[test]
#[should_panic(expected = "gradient coverage: op `forgetful`")]
fn gradient_coverage_holds_in_a_checkpoint() {
    let params = Params::init(&Cpu, layout(), 1);
    let (mut pool, mut grads) = (Pool::new(Cpu), Grads::new(&Cpu, &params));
    let mut tape = Tape::new(&Cpu, &params, &mut pool);
    let w = tape.param(params.layout().find("apart").unwrap());
    let y = tape.checkpoint(|tape| {
        let y = tape.apply(ops::Tanh, &[w]);
        let y = tape.apply(Forgetful, &[y]);
        tape.apply(ops::Tanh, &[y])
    });
    let loss = tape.apply(ops::Sum { scale: 1.0 }, &[y]);
    tape.backward(loss, 1.0, &mut grads);
}

#[test]
fn a_frozen_neighbour_gets_no_gradient_and_spoils_none() {
    let mut params = Params::init(&Cpu, layout(), 1);
    for name in ["b.weight", "b.bias"] {
        let id = params.layout().find(name).unwrap();
        params.set_trainable(id, false);
    }
    let mut grads = Grads::new(&Cpu, &params);
    for times in [1.0, 2.0] {
        pass(&params, &mut grads, &["a.weight", "b.weight"], &["a.bias", "b.bias"]);
        assert_eq!(gradient(&params, &grads, "a.weight"), [5.0, 7.0, 9.0, 5.0, 7.0, 9.0].map(|g| g * times));
    }
    let written: Vec<_> = grads.written_ids().map(|id| params.layout().entry(id).name.clone()).collect();
    assert_eq!(written, ["a.weight", "a.bias"]);
}

#[test]
fn parameters_that_do_not_adjoin_cannot_be_joined() {
    let refused = |names: &[&str]| {
        let params = Params::init(&Cpu, layout(), 1);
        let ids: Vec<_> = names.iter().map(|name| params.layout().find(name).unwrap()).collect();
        let mut pool = Pool::new(Cpu);
        let join = std::panic::AssertUnwindSafe(|| Tape::new(&Cpu, &params, &mut pool).joined(&ids));
        *std::panic::catch_unwind(join).unwrap_err().downcast::<String>().unwrap()
    };
    let message = refused(&["b.bias", "apart"]);
    assert_eq!(message, "layout: `apart` is not below `b.bias` with the same width");
    assert!(refused(&["b.weight", "a.weight"]).contains("one after the other"));
    assert!(refused(&[]).contains("one after the other"));
}

/// A table read by rows may be owed updates; whoever reads all of it would see old rows.
#[test]
#[should_panic(expected = "op `linear` reads all rows of `a.weight`, and the optimizer owes updates to some")]
fn reading_a_whole_table_that_is_owed_updates_is_loud() {
    let mut params = Params::init(&Cpu, layout(), 1);
    let id = |name: &str| params.layout().find(name).unwrap();
    let (weight, bias) = (id("a.weight"), id("a.bias"));
    params.set_owed(weight, true);
    let mut pool = Pool::new(Cpu);
    let mut tape = Tape::new(&Cpu, &params, &mut pool);
    let (w, b) = (tape.param(weight), tape.param(bias));
    let rows = tape.apply(ops::Embeddings { ids: vec![vec![0]] }, &[w]);
    tape.apply(ops::Linear::new(), &[rows, w, b]);
}

/// With gradients by rows, too: rows that the second reading alone names get their sums.
#[test]
fn a_table_that_an_op_reads_twice_has_the_gradient_of_both() {
    let mut layout = Layout::new();
    let table = layout.root().param("table", [4, 2], Init::Normal(1.0));
    let params = Params::init(&Cpu, layout, 1);
    let gradient = |mut grads: Grads| {
        let mut pool = Pool::new(Cpu);
        let mut tape = Tape::new(&Cpu, &params, &mut pool);
        let table_var = tape.param(table);
        let y = tape.apply(ops::Embeddings { ids: vec![vec![0, 1], vec![2, 1]] }, &[table_var, table_var]);
        let loss = tape.apply(ops::Sum { scale: 1.0 }, &[y]);
        tape.backward(loss, 1.0, &mut grads);
        let rows = grads.rows(table).map(|rows| rows.to_vec());
        (rows, Cpu.download(Cpu::slice(&grads.flat, 0..8)))
    };
    let (_, dense) = gradient(Grads::new(&Cpu, &params));
    assert_eq!(dense, [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 0.0, 0.0]);
    let (rows, by_rows) = gradient(Grads::by_rows(&Cpu, &params));
    let mut rows = rows.expect("three rows of four");
    rows.sort_unstable();
    assert_eq!(rows, [0, 1, 2]);
    assert_eq!(by_rows[..6], dense[..6]);
}

#[test]
#[should_panic(expected = "Tape::inference")]
fn a_tape_that_records_nothing_has_no_backward() {
    let params = Params::init(&Cpu, layout(), 1);
    let mut pool = Pool::new(Cpu);
    let mut tape = Tape::inference(&Cpu, &params, &mut pool);
    let x = tape.constant_from([1], &[1.0]);
    let loss = tape.apply(ops::Sum { scale: 1.0 }, &[x]);
    tape.backward(loss, 1.0, &mut Grads::new(&Cpu, &params));
}

#[test]
fn a_wrong_shape_is_said_at_the_line_that_applied_the_op() {
    use std::sync::{Arc, Mutex};
    let (said, own) = (Arc::new(Mutex::new(Vec::new())), std::thread::current().id());
    let usual = std::panic::take_hook();
    let places = Arc::clone(&said);
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().id() != own {
            return usual(panic); // Of another test.
        }
        places.lock().unwrap().extend(panic.location().map(|place| (place.file().to_string(), place.line())));
    }));
    let params = Params::init(&Cpu, layout(), 1);
    let lines = [true, false].map(|is_short| {
        let mut pool = Pool::new(Cpu);
        let mut tape = Tape::new(&Cpu, &params, &mut pool);
        let x = tape.constant_from([2, 2], &[1.0; 4]);
        let w = tape.param(params.layout().find("apart").unwrap());
        let inputs = if is_short { vec![x] } else { vec![x, w] };
        let line = line!() + 1;
        let apply = std::panic::AssertUnwindSafe(|| tape.apply(ops::Linear::new(), &inputs));
        assert!(std::panic::catch_unwind(apply).is_err());
        line
    });
    drop(std::panic::take_hook());
    let said = std::mem::take(&mut *said.lock().unwrap());
    assert_eq!(said.iter().map(|(_, line)| *line).collect::<Vec<_>>(), lines, "{said:?}");
    assert!(said.iter().all(|(file, _)| file.ends_with("tape/tests.rs")), "{said:?}");
}
