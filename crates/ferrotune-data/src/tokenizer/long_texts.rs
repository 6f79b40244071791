//! [`LongTexts`]: what is read of a text that is too long. It knows nothing of tokenizers.

/// What is read of a text with more tokens than fit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LongTexts {
    /// Its first tokens.
    #[default]
    Head,
    /// Its first and its last tokens: a quarter, rounded up, and three quarters. Of a pair that holds for each text.
    HeadTail,
    /// All of it, in overlapping windows; [`Encoded::windows`](crate::Encoded::windows) says which belong together. Pairs are refused.
    Windows,
}
