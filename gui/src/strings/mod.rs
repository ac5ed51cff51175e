//! Every word that a person reads. A translation is one more file like
//! `en.rs`: a [`Strings`] with every field filled in, or it doesn't compile.

mod en;

use std::sync::LazyLock;

pub(crate) use en::Strings;

/// The languages that there are, by the first letters of a locale's name.
static LANGUAGES: &[(&str, &Strings)] = &[("en", &en::ENGLISH)];

static CHOSEN: LazyLock<&'static Strings> = LazyLock::new(|| {
    let locale = ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default();
    LANGUAGES.iter().find(|(name, _)| locale.starts_with(name)).map_or(&en::ENGLISH, |(_, strings)| strings)
});

/// The words in the person's language.
pub(crate) fn tr() -> &'static Strings {
    &CHOSEN
}
