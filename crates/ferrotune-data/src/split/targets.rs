//! [`targets`]: a table of whole numbers beside a table of shares, with the same sums. It knows nothing of rows or seeds.

/// How many rows of each class each part gets, `[classes][parts]`. Sums over parts are `class_rows`, sums over classes are `sizes`.
///
/// A cell is `class_rows·size/rows` rounded down or up. Such a table exists, since these quotas have the wanted sums, and a system of sums
/// and bounds of whole numbers that has a solution has one in whole numbers. It is built class by class: what rounding has owed to a part
/// so far decides who gets the rows that rounding down leaves; then rows are moved along chains of parts until the sizes are right.
///
/// Of a class whose share in the part `home` is below one row, one row is set aside for it, and the rest is divided as above; unless
/// the part is too small for all of those.
pub(crate) fn targets(class_rows: &[usize], sizes: &[usize], home: Option<usize>) -> Vec<Vec<usize>> {
    let Some(home) = home else { return controlled(class_rows, sizes) };
    let mut small = vec![0; class_rows.len()];
    // What is set aside makes the share of the part in the rest smaller, so that more classes may be too small.
    loop {
        let aside: usize = small.iter().sum();
        if aside > sizes[home] {
            return controlled(class_rows, sizes);
        }
        let (left, size) = ((class_rows.iter().sum::<usize>() - aside) as u128, (sizes[home] - aside) as u128);
        let too_small = |&class: &usize| {
            let n = class_rows[class];
            small[class] == 0 && n > 0 && n as u128 * size < left
        };
        let more: Vec<usize> = (0..small.len()).filter(too_small).collect();
        if more.is_empty() {
            break;
        }
        more.into_iter().for_each(|class| small[class] = 1);
    }
    let left: Vec<usize> = class_rows.iter().zip(&small).map(|(n, one)| n - one).collect();
    let mut left_sizes = sizes.to_vec();
    left_sizes[home] -= small.iter().sum::<usize>();
    let mut cells = controlled(&left, &left_sizes);
    cells.iter_mut().zip(&small).for_each(|(cells, one)| cells[home] += one);
    cells
}

/// The table without anything set aside.
fn controlled(class_rows: &[usize], sizes: &[usize]) -> Vec<Vec<usize>> {
    let rows = class_rows.iter().sum::<usize>() as i128;
    if rows == 0 {
        return vec![vec![0; sizes.len()]; class_rows.len()];
    }
    let product = |n: usize, size: usize| n as i128 * size as i128;
    let floor = |n: usize, size: usize| (product(n, size) / rows) as usize;
    let fraction = |n: usize, size: usize| product(n, size) % rows;
    // What rounding owes to each part, in units of one row divided by `rows`.
    let mut owed = vec![0i128; sizes.len()];
    let mut cells = Vec::with_capacity(class_rows.len());
    for &n in class_rows {
        let mut of_class: Vec<usize> = sizes.iter().map(|&size| floor(n, size)).collect();
        let mut order: Vec<usize> = (0..sizes.len()).filter(|&part| fraction(n, sizes[part]) > 0).collect();
        owed.iter_mut().zip(sizes).for_each(|(owed, &size)| *owed += fraction(n, size));
        order.sort_by_key(|&part| (-owed[part], -fraction(n, sizes[part])));
        for part in order.into_iter().take(n - of_class.iter().sum::<usize>()) {
            of_class[part] += 1;
            owed[part] -= rows;
        }
        cells.push(of_class);
    }
    // Owed is now what a part lacks, in whole rows.
    while let Some(from) = owed.iter().position(|&owed| owed < 0) {
        let chain = chain(&cells, from, &owed, |class, part| {
            let (n, size) = (class_rows[class], sizes[part]);
            (floor(n, size), floor(n, size) + usize::from(fraction(n, size) > 0))
        });
        let mut to = from;
        for (class, a, b) in chain {
            cells[class][a] -= 1;
            cells[class][b] += 1;
            to = b;
        }
        owed[from] += rows;
        owed[to] -= rows;
    }
    cells
}

/// The shortest chain of moves (class, from part, to part) from `start` to a part that lacks a row, within the bounds of each cell.
fn chain(
    cells: &[Vec<usize>],
    start: usize,
    owed: &[i128],
    bounds: impl Fn(usize, usize) -> (usize, usize),
) -> Vec<(usize, usize, usize)> {
    let mut came: Vec<Option<(usize, usize)>> = vec![None; owed.len()];
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(a) = queue.pop_front() {
        if owed[a] > 0 {
            let mut moves = Vec::new();
            let mut part = a;
            while let Some((class, before)) = came[part] {
                moves.push((class, before, part));
                part = before;
            }
            moves.reverse();
            return moves;
        }
        for b in (0..owed.len()).filter(|&b| b != a) {
            if b == start || came[b].is_some() {
                continue;
            }
            let free = |class: &usize| {
                let cells = &cells[*class];
                cells[a] > bounds(*class, a).0 && cells[b] < bounds(*class, b).1
            };
            if let Some(class) = (0..cells.len()).find(free) {
                came[b] = Some((class, a));
                queue.push_back(b);
            }
        }
    }
    unreachable!("the quotas are a solution in fractions, so that a chain exists")
}
