//! What is read of a SentencePiece model file, and the faults that make it useless. It knows nothing of families or of `tokenizer.json`.
//!
//! The fields and their numbers are those of `sentencepiece_model.proto`; what is not named here is skipped. Of the normalizer only the map of
//! characters is read, as transformers does: blanks are the affair of the pipelines in `layout.rs`.

use crate::names::quoted;
use prost::Message;
use std::collections::HashSet;

/// `ModelProto`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Model {
    #[prost(message, repeated, tag = "1")]
    pub pieces: Vec<Piece>,
    #[prost(message, optional, tag = "2")]
    pub trainer: Option<Trainer>,
    #[prost(message, optional, tag = "3")]
    pub normalizer: Option<Normalizer>,
}

/// `ModelProto.SentencePiece`: its id is its place.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Piece {
    #[prost(string, optional, tag = "1")]
    pub piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    pub score: Option<f32>,
    #[prost(int32, optional, tag = "3", default = "1")]
    pub kind: Option<i32>,
}

/// `TrainerSpec`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Trainer {
    #[prost(int32, optional, tag = "3", default = "1")]
    pub model_type: Option<i32>,
    #[prost(bool, optional, tag = "24")]
    pub treat_whitespace_as_suffix: Option<bool>,
    #[prost(bool, optional, tag = "35")]
    pub byte_fallback: Option<bool>,
    #[prost(int32, optional, tag = "40")]
    pub unk_id: Option<i32>,
}

/// `NormalizerSpec`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Normalizer {
    #[prost(bytes = "vec", optional, tag = "2")]
    pub precompiled_charsmap: Option<Vec<u8>>,
    #[prost(bool, optional, tag = "5", default = "true")]
    pub escape_whitespaces: Option<bool>,
}

/// `ModelProto.SentencePiece.Type`, as far as it matters.
const UNKNOWN: i32 = 2;
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;
/// `TrainerSpec.ModelType`.
const UNIGRAM: i32 = 1;
const OTHER_TYPES: [(i32, &str); 3] = [(2, "BPE"), (3, "word"), (4, "character")];

/// Why a model cannot be used.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// It is damaged, or no such file.
    Malformed(String),
    /// It is a sound model of a kind that is not read.
    Unread(String),
}

impl Piece {
    pub(super) fn text(&self) -> &str {
        self.piece()
    }

    pub(super) fn log_probability(&self) -> f64 {
        f64::from(self.score())
    }

    /// Whether it stands for what is not in the vocabulary, or marks a place: never a part of a text.
    pub(super) fn is_mark(&self) -> bool {
        [UNKNOWN, CONTROL].contains(&self.kind())
    }

    /// Of a piece that is looked for in a text before all else, whether it is a control token; nothing of other pieces.
    pub(super) fn set_apart(&self) -> Option<bool> {
        [CONTROL, USER_DEFINED].contains(&self.kind()).then(|| self.kind() == CONTROL)
    }
}

impl Model {
    /// Reads and checks a file.
    pub(super) fn read(bytes: &[u8]) -> Result<Model, Fault> {
        let malformed = |detail: String| Err(Fault::Malformed(detail));
        let model = match Model::decode(bytes) {
            Ok(model) if !model.pieces.is_empty() => model,
            Ok(_) => return malformed("it is no SentencePiece model: it has no pieces".to_owned()),
            Err(error) => return malformed(format!("it is no SentencePiece model, or a damaged one ({error})")),
        };
        let mut seen = HashSet::new();
        for (id, piece) in model.pieces.iter().enumerate() {
            if piece.text().is_empty() {
                return malformed(format!("its piece {id} is empty"));
            }
            if !seen.insert(piece.text()) {
                return malformed(format!("it has the piece {} twice", quoted(piece.text())));
            }
            if !piece.score().is_finite() {
                return malformed(format!("its piece {} has the score {}", quoted(piece.text()), piece.score()));
            }
        }
        if usize::try_from(model.trainer().unk_id()).is_ok_and(|id| id >= model.pieces.len()) {
            return malformed(format!("its unknown piece would be {} of {}", model.trainer().unk_id(), seen.len()));
        }
        // The library would reserve what the map says of its own size.
        if let Some(map) = model.character_map() {
            let trie = map.first_chunk().map_or(usize::MAX, |&size| u32::from_le_bytes(size) as usize);
            if trie > map.len().saturating_sub(4) {
                return malformed("its map of characters is shorter than it says".to_owned());
            }
        }
        model.check_kind().map_err(Fault::Unread)?;
        Ok(model)
    }

    /// What a unigram tokenizer with blanks before words cannot be made of.
    fn check_kind(&self) -> Result<(), String> {
        let trainer = self.trainer();
        if trainer.model_type() != UNIGRAM {
            let name = OTHER_TYPES.iter().find(|(number, _)| *number == trainer.model_type()).map(|(_, name)| *name);
            return Err(format!("it is a model of type {}, and unigram models are read", name.unwrap_or("unknown")));
        }
        if trainer.byte_fallback() {
            return Err("it writes unknown characters as bytes, which is not read".to_owned());
        }
        let escaped = self.normalizer.as_ref().is_none_or(Normalizer::escape_whitespaces);
        if trainer.treat_whitespace_as_suffix() || !escaped {
            return Err("it has no \u{2581} where words begin, which is not read".to_owned());
        }
        Ok(())
    }

    /// The id of the unknown piece, if it has one.
    pub(super) fn unknown(&self) -> Option<usize> {
        usize::try_from(self.trainer().unk_id()).ok()
    }

    /// The compiled map of characters, if it has one.
    pub(super) fn character_map(&self) -> Option<&[u8]> {
        self.normalizer.as_ref().map(Normalizer::precompiled_charsmap).filter(|map| !map.is_empty())
    }

    fn trainer(&self) -> Trainer {
        self.trainer.clone().unwrap_or_default()
    }
}
