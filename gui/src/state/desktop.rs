//! What the desktop's own dialogs and clipboard gave: paths of files.

use super::{Overlay, Recipient, Selection, State, Tab, Tone};
use crate::ask::Ask;
use crate::ask::desktop::{Answer, Pick};
use crate::strings::tr;
use crate::text::Clock;

/// Files dropped at once that are shared one after the other.
const DROPPED_MAX: usize = 50;

/// What came from the desktop.
#[derive(Debug, Default)]
pub(crate) struct Desktop {
    /// A path that was chosen, until the field it is for takes it.
    pub(crate) picked: Option<(Pick, String)>,
    /// A chooser is open.
    pub(crate) choosing: bool,
    /// Why there is no chooser.
    pub(crate) error: Option<String>,
    /// Files that are shared after the one whose dialog is open.
    next: Vec<String>,
}

impl State {
    pub(super) fn desktop_answer(&mut self, answer: Answer, clock: Clock, asks: &mut Vec<Ask>) {
        match answer {
            Answer::Picked { pick, result } => {
                self.desktop.choosing = false;
                match result {
                    Ok(Some(path)) => self.desktop.picked = Some((pick, path)),
                    // The person thought better of it.
                    Ok(None) => {}
                    Err(_) => self.desktop.error = Some(tr().no_chooser.to_owned()),
                }
            }
            // What was pasted before the account was locked belongs to nobody now.
            Answer::Kept(_) if self.opened().is_none() => {}
            Answer::Kept(Ok(path)) => {
                self.notices.toast(Tone::Plain, (tr().picture_kept)(&path), clock.now_ms);
                self.share_several(vec![path], asks);
            }
            Answer::Kept(Err(error)) => self.notices.toast(Tone::Bad, (tr().picture_not_kept)(&error), clock.now_ms),
        }
    }

    /// With whom one is talking: who gets what is dropped or pasted.
    pub(crate) fn recipient(&self) -> Recipient {
        match (&self.chat.selection, self.tab) {
            (Selection::Conversation(name), Tab::Chat) => Recipient::Person(name.clone()),
            (Selection::Group(id), Tab::Groups) => Recipient::Group(id.clone()),
            _ => Recipient::Nobody,
        }
    }

    /// Asks about each of these files, one after the other.
    pub(super) fn share_several(&mut self, mut paths: Vec<String>, asks: &mut Vec<Ask>) {
        paths.truncate(DROPPED_MAX);
        if paths.is_empty() {
            return;
        }
        let path = paths.remove(0);
        let to = self.recipient();
        self.show(Overlay::Share { path, to }, asks);
        self.desktop.next = paths;
    }

    /// The dialog about the next file, where more were dropped at once.
    pub(super) fn share_next(&mut self, asks: &mut Vec<Ask>) {
        let next = std::mem::take(&mut self.desktop.next);
        self.share_several(next, asks);
    }

    /// The rest is not shared either.
    pub(super) fn forget_dropped(&mut self) {
        self.desktop.next.clear();
        self.desktop.error = None;
    }
}
