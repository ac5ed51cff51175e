//! Small pictures of shared images, as many as can be looked at.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::ask::Ask;
use crate::ask::files::{self as ask, Picture};

/// Pictures kept in memory, each of 400 KiB at most.
const PREVIEWS_MAX: usize = 48;

/// What is known of a picture.
#[derive(Debug, Clone)]
pub(crate) enum Preview {
    /// It was asked for.
    Asked,
    /// There is none that could be shown.
    Missing,
    Ready(Arc<Picture>),
}

/// The pictures by file.
#[derive(Debug, Default)]
pub(crate) struct Previews {
    known: HashMap<String, Preview>,
    /// In the order in which they were asked for.
    order: VecDeque<String>,
}

impl Previews {
    /// What is known of the picture of this file; nothing when it was not asked for yet.
    pub(crate) fn get(&self, file_id: &str) -> Option<&Preview> {
        self.known.get(file_id)
    }

    /// Asks for the picture of a file, once.
    pub(crate) fn ask(&mut self, file_id: String, asks: &mut Vec<Ask>) {
        if self.known.contains_key(&file_id) {
            return;
        }
        while self.order.len() >= PREVIEWS_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        self.order.push_back(file_id.clone());
        self.known.insert(file_id.clone(), Preview::Asked);
        asks.push(ask::Ask::Preview(file_id).into());
    }

    /// A picture came, or there is none.
    pub(crate) fn came(&mut self, file_id: &str, picture: Option<Picture>) {
        if let Some(known) = self.known.get_mut(file_id) {
            *known = picture.map_or(Preview::Missing, |picture| Preview::Ready(Arc::new(picture)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_asked_for_once_and_no_more_are_kept_than_can_be_seen() {
        let (mut previews, mut asks) = (Previews::default(), Vec::new());
        previews.ask("a".into(), &mut asks);
        previews.ask("a".into(), &mut asks);
        assert_eq!(asks.len(), 1);
        for i in 0..PREVIEWS_MAX {
            previews.ask(i.to_string(), &mut asks);
        }
        assert!(previews.get("a").is_none() && previews.known.len() == PREVIEWS_MAX);
        previews.came("a", None);
        assert!(previews.get("a").is_none(), "what nobody waits for is not kept");
    }
}
