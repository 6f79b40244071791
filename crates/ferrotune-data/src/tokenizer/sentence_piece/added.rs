//! Tokens that are looked for in a text before it is cut into pieces: special ones, and what a folder adds. It knows nothing of how pieces are found.
//!
//! Who may add what, and which description of a token wins, is as in transformers 5.24 (`from_pretrained` of `tokenization_utils_base.py`,
//! `__init__` of `tokenization_utils_tokenizers.py`): first those of `added_tokens_decoder`, else of `added_tokens.json`, by id; then the
//! special ones by role; then further ones, of the folder or else of the model.

use super::layout::{Layout, ROLES};
use super::proto::Model;
use crate::names::quoted;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// What the files of a folder say of tokens, each null where there is no such file.
pub(super) struct Said {
    /// `tokenizer_config.json`.
    pub config: Value,
    /// `special_tokens_map.json`: it counts only if the other does not describe the added tokens.
    pub map: Value,
    /// `added_tokens.json`: as the map.
    pub added: Value,
}

/// An entry of `added_tokens` in `tokenizer.json`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Added {
    id: u32,
    #[serde(flatten)]
    token: Token,
}

/// A token as these files describe it, without its id.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Token {
    content: String,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    /// If the file does not say, whether it is not special.
    #[serde(default)]
    normalized: Option<bool>,
    #[serde(default)]
    special: bool,
}

impl Token {
    fn special(content: &str) -> Token {
        let (single_word, lstrip, rstrip) = (false, false, false);
        Token { content: content.to_owned(), single_word, lstrip, rstrip, normalized: Some(false), special: true }
    }

    /// A token that a file names, or describes.
    fn of(value: &Value) -> Result<Token, String> {
        match value.as_str() {
            Some(content) => Ok(Token::special(content)),
            None => Token::deserialize(value)
                .map_err(|error| format!("{} describes no token ({error})", quoted(&value.to_string()))),
        }
    }
}

impl Said {
    /// What counts of a key.
    fn get(&self, key: &str) -> &Value {
        let over = if self.describes_added() { &Value::Null } else { &self.map[key] };
        if over.is_null() { &self.config[key] } else { over }
    }

    fn describes_added(&self) -> bool {
        self.config["added_tokens_decoder"].is_object()
    }

    /// The special tokens, in the order of [`ROLES`], each with whether a file says it.
    fn special_tokens(&self, layout: Layout) -> Result<Vec<(Token, bool)>, String> {
        let of = |(role, name): (&str, &'static str)| {
            let said = self.get(role);
            if said.is_null() {
                let lstrip = name == "<mask>" && layout.mask_takes_blanks();
                return Ok((Token { lstrip, ..Token::special(name) }, false));
            }
            let token = Token { special: true, ..Token::of(said)? };
            let content = &token.content;
            if content != name {
                return Err(format!("the folder's {role} is {}, the family's {name}", quoted(content)));
            }
            // Of a mask that is only named, the class knows the blanks.
            let lstrip = token.lstrip || (said.is_string() && name == "<mask>" && layout.mask_takes_blanks());
            Ok((Token { lstrip, ..token }, true))
        };
        ROLES.into_iter().zip(layout.special_tokens()).map(of).collect()
    }

    /// The further ones that the folder names, if it does.
    fn further(&self) -> Result<Option<Vec<Token>>, String> {
        let lists = ["extra_special_tokens", "additional_special_tokens"].map(|key| self.get(key).as_array());
        let list = lists.into_iter().flatten().find(|list| !list.is_empty());
        list.map(|list| list.iter().map(Token::of).collect()).transpose()
    }

    /// The tokens that the folder gives ids to.
    fn with_ids(&self, said_special: &[&str]) -> Result<BTreeMap<u32, Token>, String> {
        let id =
            |value: &str| value.parse::<u32>().map_err(|_| format!("{} is no id of an added token", quoted(value)));
        if self.describes_added() {
            let tokens = self.config["added_tokens_decoder"].as_object().into_iter().flatten();
            return tokens.map(|(key, token)| Ok((id(key)?, Token::of(token)?))).collect();
        }
        let of = |(content, value): (&String, &Value)| {
            let special = said_special.contains(&content.as_str());
            Ok((id(&value.to_string())?, Token { normalized: Some(!special), special, ..Token::special(content) }))
        };
        self.added.as_object().into_iter().flatten().map(of).collect()
    }
}

/// All added tokens, by id; or what is wrong with what the folder says.
pub(super) fn added(
    layout: Layout,
    model: &Model,
    vocabulary: &[(&str, f64)],
    said: &Said,
) -> Result<Vec<Added>, String> {
    let special = said.special_tokens(layout)?;
    let further = said.further()?;
    let named = special.iter().filter(|(_, said)| *said).map(|(token, _)| token).chain(further.iter().flatten());
    let with_ids = said.with_ids(&named.map(|token| token.content.as_str()).collect::<Vec<_>>())?;
    let of_model = || {
        let apart = model.pieces.iter().filter_map(|piece| Some((piece.text(), piece.set_apart()?)));
        apart.map(|(text, special)| Token { special, ..Token::special(text) }).collect()
    };
    let further = further.unwrap_or_else(of_model);

    let mut ids: HashMap<&str, u32> = (0..).zip(vocabulary).map(|(id, &(token, _))| (token, id)).collect();
    // Behind all places of the vocabulary, in which a piece may stand that the family has put there already.
    let mut next = vocabulary.len() as u32;
    let mut tokens: BTreeMap<u32, Token> = BTreeMap::new();
    let of_roles = layout.special_tokens();
    let all = with_ids.iter().map(|(&id, token)| (Some(id), token));
    let all =
        all.chain(special.iter().map(|(token, _)| (None, token))).chain(further.iter().map(|token| (None, token)));
    for (wanted, token) in all {
        if token.content.is_empty() {
            return Err("an added token is empty".to_owned());
        }
        let id = *ids.entry(&token.content).or_insert_with(|| {
            next += 1;
            next - 1
        });
        if let Some(wanted) = wanted.filter(|&wanted| wanted != id) {
            return Err(format!(
                "the folder gives {} the id {wanted}, the vocabulary gives it {id}",
                quoted(&token.content)
            ));
        }
        let special = token.special || of_roles.contains(&token.content.as_str());
        let normalized = token.normalized.or(Some(!token.special));
        tokens.entry(id).or_insert_with(|| Token { special, normalized, ..token.clone() });
    }
    Ok(tokens.into_iter().map(|(id, token)| Added { id, token }).collect())
}

impl Added {
    /// The id of a token, which has one if it is special.
    pub(super) fn id_of(added: &[Added], content: &str) -> u32 {
        added.iter().find(|added| added.token.content == content).map_or(0, |added| added.id)
    }
}
