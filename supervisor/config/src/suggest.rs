//! "Did you mean": the known word that an unknown one was probably meant to be.

/// How alike two words must be, from 0 to 1 by Jaro-Winkler. At 0.8 `proceses` finds `processes` and
/// `restrat` finds `restart`, while `name` finds nothing.
const LIKENESS_MIN: f64 = 0.8;
/// Longest word, in bytes, that a suggestion is looked for: comparing takes the product of the lengths.
const WORD_BYTES_MAX: usize = 64;

/// "did you mean `x`?", if one of `known` is like `word`.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(word, known).map(|best| format!("did you mean `{best}`?"))
}

/// The one of `known` that is most like `word`, if any is like enough.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let word = word.to_lowercase();
    known
        .into_iter()
        .filter(|k| k.len() <= WORD_BYTES_MAX)
        .map(|k| (strsim::jaro_winkler(&word, &k.to_lowercase()), k))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_the_right_one_and_a_strange_word_finds_none() {
        let known = ["cwd", "strategy", "processes", "env"];
        assert_eq!(closest("proceses", known), Some("processes"));
        assert_eq!(closest("CWD", known), Some("cwd"));
        assert_eq!(closest("name", known), None);
        assert_eq!(closest(&"p".repeat(1_000_000), known), None);
    }
}
