//! Linear layers.

use super::{BETAS, Bench, Case};
use crate::Backend;
use crate::backend::{LinearDims, LinearGrads};

pub(super) fn cases<B: Backend>() -> Vec<Case<B>> {
    vec![Case { name: "linear", run: forward }, Case { name: "linear_backward", run: backward }]
}

const SIZES: [LinearDims; 5] = [
    LinearDims { n: 1, i: 1, o: 1 },
    LinearDims { n: 7, i: 12, o: 2 },
    LinearDims { n: 33, i: 64, o: 96 },
    LinearDims { n: 70, i: 31, o: 17 },
    LinearDims { n: 0, i: 8, o: 4 },
];

fn forward<B: Backend>(bench: &mut Bench<'_, B>) {
    for dims in SIZES {
        let x = bench.input([dims.n, dims.i], 1);
        let (w, b) = (bench.parameter([dims.o, dims.i], 2), bench.parameter([dims.o], 3));
        let mut y = bench.output([dims.n, dims.o]);
        bench.backend.linear(&mut bench.pool, y.data_mut(), None, x.data(), w.data(), Some(b.data()), dims);
        bench.note(format!("y {dims:?}"), &y);
        let mut y = bench.output([dims.n, dims.o]);
        bench.backend.linear(&mut bench.pool, y.data_mut(), None, x.data(), w.data(), None, dims);
        bench.note(format!("without bias {dims:?}"), &y);
        let (mut y, mut pre) = (bench.output([dims.n, dims.o]), bench.output([dims.n, dims.o]));
        let saved = Some(pre.data_mut());
        bench.backend.linear(&mut bench.pool, y.data_mut(), saved, x.data(), w.data(), Some(b.data()), dims);
        bench.note(format!("gelu {dims:?}"), &y);
        bench.note(format!("pre {dims:?}"), &pre);
    }
}

fn backward<B: Backend>(bench: &mut Bench<'_, B>) {
    for dims in SIZES {
        let (x, dy) = (bench.input([dims.n, dims.i], 1), bench.input([dims.n, dims.o], 2));
        let w = bench.parameter([dims.o, dims.i], 3);
        for beta in BETAS {
            let mut dx = bench.target([dims.n, dims.i], beta, 4);
            let (mut dw, mut db) = (bench.gradient([dims.o, dims.i], beta, 5), bench.gradient([dims.o], beta, 6));
            let grads = LinearGrads {
                dx: Some((dx.data_mut(), beta)),
                dw: Some((dw.data_mut(), beta)),
                db: Some((db.data_mut(), beta)),
            };
            bench.backend.linear_backward(&mut bench.pool, grads, dy.data(), x.data(), w.data(), dims);
            for (what, tensor) in [("dx", &dx), ("dw", &dw), ("db", &db)] {
                bench.note(format!("{what} {dims:?}, beta {beta}"), tensor);
            }
        }
        let nobody = LinearGrads { dx: None, dw: None, db: None };
        bench.backend.linear_backward(&mut bench.pool, nobody, dy.data(), x.data(), w.data(), dims);
    }
}
