//! What families make of a SentencePiece model: the order of the vocabulary, special tokens, and what is done to a text before it is cut. It knows nothing
//! of files and added tokens.
//!
//! The source is transformers: `DebertaV2Tokenizer`, `XLMRobertaTokenizer` and `CamembertTokenizer` of 5.24 with the converters of
//! `convert_slow_tokenizer.py`. In one thing the class of DeBERTa is not followed: it leaves out the model's map of characters (in SentencePiece, in
//! transformers 4 and in `DebertaV2Converter` texts go through it), and so reads other tokens than the model learned from.

use super::proto::Model;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A family, as far as its tokenizer goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    /// DeBERTa-v2 and v3: the pieces as they are.
    Deberta,
    /// XLM-R: fairseq's four tokens in place of the three that a model begins with, and the mask behind all.
    XlmRoberta,
    /// CamemBERT: fairseq's tokens before the model's own, and the mask behind all.
    Camembert,
}

/// The layouts with `model_type` and the class of the tokenizer.
const KNOWN: [(Layout, &str, &str); 3] = [
    (Layout::Deberta, "deberta-v2", "DebertaV2Tokenizer"),
    (Layout::XlmRoberta, "xlm-roberta", "XLMRobertaTokenizer"),
    (Layout::Camembert, "camembert", "CamembertTokenizer"),
];

/// The names by which folders call special tokens.
pub(super) const ROLES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// Tokens with their log probabilities; the id of each is its place.
pub(super) type Vocabulary<'m> = Vec<(&'m str, f64)>;

/// What a folder may choose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choices {
    /// Whether a text is read as if a blank stood before it.
    pub prefix_space: bool,
    /// Of DeBERTa, whether letters become small ones.
    pub lower_case: bool,
    /// Of DeBERTa, whether marks of punctuation are words.
    pub split_by_punctuation: bool,
}

impl Layout {
    /// By the name of the tokenizer's class, with or without `Fast`.
    pub(super) fn of_class(class: &str) -> Option<Layout> {
        let class = class.strip_suffix("Fast").unwrap_or(class);
        KNOWN.iter().find(|(_, _, name)| *name == class).map(|known| known.0)
    }

    /// By the `model_type` of config.json.
    pub(super) fn of_model_type(model_type: &str) -> Option<Layout> {
        KNOWN.iter().find(|(_, name, _)| *name == model_type).map(|known| known.0)
    }

    /// The model's file in a folder.
    pub(super) fn file(self) -> &'static str {
        match self {
            Layout::Deberta => "spm.model",
            Layout::XlmRoberta | Layout::Camembert => "sentencepiece.bpe.model",
        }
    }

    /// The special tokens, in the order of [`ROLES`].
    pub(super) fn special_tokens(self) -> [&'static str; 7] {
        match self {
            Layout::Deberta => ["[CLS]", "[SEP]", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"],
            Layout::XlmRoberta | Layout::Camembert => ["<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"],
        }
    }

    /// What a model of the family reads, by transformers' names.
    pub(super) fn inputs(self) -> Vec<&'static str> {
        let types = (self == Layout::Deberta).then_some("token_type_ids");
        ["input_ids"].into_iter().chain(types).chain(["attention_mask"]).collect()
    }

    /// Whether blanks before the mask belong to it, if the folder does not say.
    pub(super) fn mask_takes_blanks(self) -> bool {
        self == Layout::Camembert
    }

    /// The vocabulary and the id of the unknown token; or what is wrong with the model.
    pub(super) fn vocabulary(self, model: &Model) -> Result<(Vocabulary<'_>, usize), String> {
        let pieces = |from: usize| model.pieces[from..].iter().map(|piece| (piece.text(), piece.log_probability()));
        let begins_with_marks = |count: usize| {
            let marks = model.pieces.iter().take_while(|piece| piece.is_mark()).count();
            if marks < count {
                Err(format!("its first pieces ({count}) are not the special ones that fairseq leaves out"))
            } else {
                Ok(())
            }
        };
        match self {
            Layout::Deberta => {
                let named = model.pieces.iter().position(|piece| piece.text() == "[UNK]");
                let unknown = named.or(model.unknown()).ok_or("it has no unknown piece")?;
                Ok((pieces(0).collect(), unknown))
            }
            Layout::XlmRoberta => {
                begins_with_marks(3)?;
                let first = ["<s>", "<pad>", "</s>", "<unk>"].map(|token| (token, 0.0));
                Ok((first.into_iter().chain(pieces(3)).chain([("<mask>", 0.0)]).collect(), 3))
            }
            Layout::Camembert => {
                begins_with_marks(1)?;
                let first = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>"].map(|token| (token, 0.0));
                let first = first.into_iter().chain([("<unk>NOTUSED", -100.0)]);
                Ok((first.chain(pieces(1)).chain([("<mask>", 0.0)]).collect(), 3))
            }
        }
    }

    /// What is done to a text before it is cut into words: the `normalizer` of `tokenizer.json`.
    pub(super) fn normalizer(self, model: &Model, choices: Choices) -> Value {
        let map = model.character_map();
        let map = map.map(|map| json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(map)}));
        match self {
            Layout::Deberta => {
                let lower_case = choices.lower_case.then(|| json!({"type": "Lowercase"}));
                let strip = json!({"type": "Strip", "strip_left": true, "strip_right": true});
                let blanks = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "});
                let steps: Vec<Value> = lower_case.into_iter().chain([strip]).chain(map).chain([blanks]).collect();
                json!({"type": "Sequence", "normalizers": steps})
            }
            Layout::XlmRoberta | Layout::Camembert => map.unwrap_or_default(),
        }
    }

    /// How a text is cut into words, each with the mark of a blank: `pre_tokenizer` and `decoder` of `tokenizer.json`.
    pub(super) fn words(self, choices: Choices) -> (Value, Value) {
        let scheme = match (choices.prefix_space, self) {
            (true, _) => "always",
            (false, Layout::Deberta) => "first",
            (false, _) => "never",
        };
        let mark = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": scheme, "split": true});
        let first = match self {
            Layout::Deberta if choices.split_by_punctuation => {
                Some(json!({"type": "Punctuation", "behavior": "Isolated"}))
            }
            Layout::Deberta => None,
            Layout::XlmRoberta | Layout::Camembert => Some(json!({"type": "WhitespaceSplit"})),
        };
        let steps: Vec<Value> = first.into_iter().chain([mark.clone()]).collect();
        (json!({"type": "Sequence", "pretokenizers": steps}), mark)
    }

    /// The special tokens around a text and a pair, with the ids of the two: the `post_processor` of `tokenizer.json`.
    pub(super) fn template(self, begin: u32, end: u32) -> Value {
        let [b, e, ..] = self.special_tokens();
        let token = |name: &str, segment: u32| json!({"SpecialToken": {"id": name, "type_id": segment}});
        let text = |name: &str, segment: u32| json!({"Sequence": {"id": name, "type_id": segment}});
        let single = [token(b, 0), text("A", 0), token(e, 0)];
        let second = match self {
            Layout::Deberta => vec![text("B", 1), token(e, 1)],
            Layout::XlmRoberta | Layout::Camembert => vec![token(e, 0), text("B", 0), token(e, 0)],
        };
        let pair: Vec<Value> = single.iter().cloned().chain(second).collect();
        let ids = |name: &str, id: u32| json!({"id": name, "ids": [id], "tokens": [name]});
        json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": {b: ids(b, begin), e: ids(e, end)}})
    }
}
