//! Texts as weighted words (TF-IDF), for models that read no order: sparse rows of one length. It must not know labels or what learns from them.
//!
//! The weights are those of scikit-learn's `TfidfVectorizer` with its default settings: the count of a word in a row, times
//! `ln((1 + rows) / (1 + rows with the word)) + 1`, and each row scaled to length 1. Words are its `\w\w+` in lower case, two letters,
//! digits or underscores and more; what is a letter is said by Unicode's Alphabetic, which also takes the vowel signs of Indic scripts.

use crate::Row;
use std::collections::HashMap;

/// Sparse rows: of each the columns that are not 0, ascending, and what stands in them.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseRows {
    /// Row `i` has the entries `offsets[i]..offsets[i + 1]`.
    pub offsets: Vec<usize>,
    /// The column of each entry.
    pub columns: Vec<u32>,
    /// The value of each entry.
    pub values: Vec<f64>,
    /// Number of columns.
    pub width: usize,
}

impl SparseRows {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The entries of a row.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (usize, f64)> {
        let entries = self.offsets[row]..self.offsets[row + 1];
        self.columns[entries.clone()]
            .iter()
            .zip(&self.values[entries])
            .map(|(&column, &value)| (column as usize, value))
    }
}

/// The words of some rows and how rare each is. The words of the second text of a pair are words of their own.
#[derive(Clone, Debug)]
pub struct TfIdf {
    columns: HashMap<(bool, String), u32>,
    rarity: Vec<f64>,
}

impl TfIdf {
    /// Learns the words of these rows; of more than `most` those that occur most often, and of equally frequent ones those that come first.
    pub fn fit(rows: &[Row], most: usize) -> TfIdf {
        // Of each word: where it came first, how often it came, in how many rows.
        let mut seen: HashMap<(bool, String), (usize, u64, u64)> = HashMap::new();
        for row in rows {
            for (word, count) in counted(row) {
                let next = seen.len();
                let (_, total, rows) = seen.entry(word).or_insert((next, 0, 0));
                *total += count;
                *rows += 1;
            }
        }
        let mut words: Vec<_> = seen.into_iter().collect();
        words.sort_unstable_by_key(|&(_, (first, total, _))| (std::cmp::Reverse(total), first));
        words.truncate(most);
        let rarity = |in_rows: u64| ((1 + rows.len()) as f64 / (1 + in_rows) as f64).ln() + 1.0;
        let rarity = words.iter().map(|&(_, (_, _, in_rows))| rarity(in_rows)).collect();
        let columns = words.into_iter().zip(0..).map(|((word, _), column)| (word, column)).collect();
        TfIdf { columns, rarity }
    }

    /// The number of words.
    pub fn words(&self) -> usize {
        self.rarity.len()
    }

    /// The rows as their weighted words. Words that are not known are left out; a row that has no other is empty.
    pub fn transform(&self, rows: &[Row]) -> SparseRows {
        let mut sparse = SparseRows { offsets: vec![0], columns: Vec::new(), values: Vec::new(), width: self.words() };
        for row in rows {
            let known = |(word, count): ((bool, String), u64)| {
                let &column = self.columns.get(&word)?;
                Some((column, count as f64 * self.rarity[column as usize]))
            };
            let mut entries: Vec<(u32, f64)> = counted(row).into_iter().filter_map(known).collect();
            // Ascending, so that sums over a row have one order.
            entries.sort_unstable_by_key(|&(column, _)| column);
            let norm = entries.iter().map(|(_, value)| value * value).sum::<f64>().sqrt();
            sparse.columns.extend(entries.iter().map(|&(column, _)| column));
            sparse.values.extend(entries.iter().map(|&(_, value)| value / norm));
            sparse.offsets.push(sparse.columns.len());
        }
        sparse
    }
}

/// The words of a row, each once, in the order of their first place; `true` stands beside those of the second text.
fn counted(row: &Row) -> Vec<((bool, String), u64)> {
    let mut places: HashMap<(bool, String), usize> = HashMap::new();
    let mut words: Vec<((bool, String), u64)> = Vec::new();
    let texts = std::iter::once((false, row.text.as_str())).chain(row.text_b.as_deref().map(|text| (true, text)));
    for (second, text) in texts {
        let text = text.to_lowercase();
        let parts = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        for word in parts.filter(|word| word.chars().nth(1).is_some()) {
            let key = (second, word.to_string());
            match places.get(&key) {
                Some(&place) => words[place].1 += 1,
                None => {
                    places.insert(key.clone(), words.len());
                    words.push((key, 1));
                }
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(texts: &[&str]) -> Vec<Row> {
        let row =
            |(text, line): (&&str, u64)| Row { text: text.to_string(), text_b: None, words: None, label: None, line };
        texts.iter().zip(2..).map(row).collect()
    }

    /// The entries of each row by word.
    fn by_word(tf_idf: &TfIdf, rows: &[Row]) -> Vec<Vec<(String, f64)>> {
        let name = |column: usize| {
            let ((second, word), _) = tf_idf.columns.iter().find(|(_, c)| **c as usize == column).unwrap();
            if *second { format!("b:{word}") } else { word.clone() }
        };
        let sparse = tf_idf.transform(rows);
        let entries = |row| {
            let mut entries: Vec<_> = sparse.row(row).map(|(column, value)| (name(column), value)).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries
        };
        (0..sparse.rows()).map(entries).collect()
    }

    #[test]
    fn weights_are_counts_times_rarity_in_rows_of_length_one() {
        let tf_idf = TfIdf::fit(&rows(&["Red red, a blue_1!", "red", "…"]), 9);
        // 3 rows, of which 2 have red and 1 blue_1; "a" is too short for a word.
        let (red, blue) = ((4.0f64 / 3.0).ln() + 1.0, 2.0f64.ln() + 1.0);
        let norm = (4.0 * red * red + blue * blue).sqrt();
        let found = by_word(&tf_idf, &rows(&["red blue_1 RED unknown", "unknown", "red"]));
        assert_eq!(found[0].iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>(), ["blue_1", "red"]);
        for ((_, value), expected) in found[0].iter().zip([blue / norm, 2.0 * red / norm]) {
            assert!((value - expected).abs() < 1e-15, "{value} {expected}");
        }
        assert!(found[1].is_empty());
        assert_eq!(found[2], [("red".to_string(), 1.0)]);
    }

    #[test]
    fn the_most_frequent_words_stay() {
        let texts = ["one two two three", "three four"];
        let names = |most| {
            let tf_idf = TfIdf::fit(&rows(&texts), most);
            let mut names: Vec<_> = tf_idf.columns.into_iter().map(|((_, word), column)| (column, word)).collect();
            names.sort();
            names.into_iter().map(|(_, word)| word).collect::<Vec<_>>()
        };
        assert_eq!(names(2), ["two", "three"]);
        assert_eq!(names(3), ["two", "three", "one"]);
        assert_eq!(names(9).len(), 4);
    }

    #[test]
    fn the_texts_of_a_pair_do_not_share_words() {
        let mut pair = rows(&["same words"]);
        pair[0].text_b = Some("same".to_string());
        let found = by_word(&TfIdf::fit(&pair, 9), &pair);
        assert_eq!(found[0].iter().map(|(word, _)| word.as_str()).collect::<Vec<_>>(), ["b:same", "same", "words"]);
    }
}
