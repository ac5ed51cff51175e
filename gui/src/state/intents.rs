//! Does what the person intends.

use super::{Effect, Intent, Key, Left, Overlay, Search, Selection, Session, State, Tab, Tone};
use crate::ask::{Ask, account, contacts, desktop, groups, network as net};
use crate::text::Clock;

impl State {
    /// Does what the person intends, as far as this side can.
    pub(crate) fn intend(&mut self, intent: Intent, clock: Clock, asks: &mut Vec<Ask>) -> Option<Effect> {
        match intent {
            Intent::Create { username, password } => {
                self.enter();
                asks.push(account::Ask::Create { username, password }.into());
            }
            Intent::Unlock { username, password } => {
                self.enter();
                asks.push(account::Ask::Unlock { username, password }.into());
            }
            Intent::Copy { text, said } => {
                self.notices.toast(Tone::Plain, said, clock.now_ms);
                return Some(Effect::Copy(text));
            }
            Intent::Ask(ask) => asks.push(ask),
            // A backup is imported before any account is open.
            Intent::Care(ask) => {
                self.caring = Some(Ok(()));
                asks.push(ask.into());
            }
            // A backup is looked for before any account is open, too.
            Intent::Pick { pick, path } => {
                self.desktop.error = None;
                if !std::mem::replace(&mut self.desktop.choosing, true) {
                    asks.push(desktop::Ask::Pick { pick, path }.into());
                }
            }
            Intent::Show(Overlay::ImportBackup) => {
                self.caring = None;
                self.overlay = Some(Overlay::ImportBackup);
            }
            Intent::CloseOverlay if self.opened().is_none() => self.overlay = None,
            // All that follows needs an open account.
            _ if self.opened().is_none() => {}
            // The node wipes its keys in both cases; the window forgets what it showed. Who
            // only locks comes back to this account, and who logs out leaves the choice open.
            Intent::Lock | Intent::LogOut => {
                self.mark_seen(clock.now_ms, asks);
                let left = if matches!(intent, Intent::Lock) { self.locked() } else { Left::LoggedOut };
                self.chat.save_draft(clock.now_ms, true, asks);
                asks.push(account::Ask::Lock.into());
                self.close(left, asks);
                return Some(Effect::Forget);
            }
            Intent::OpenLink(address) => {
                self.overlay = None;
                return Some(Effect::OpenLink(address));
            }
            intent => return self.intend_inside(intent, clock, asks),
        }
        None
    }

    fn enter(&mut self) {
        if let Session::Closed(gate) = &mut self.session {
            gate.busy = true;
            gate.error = None;
        }
    }

    fn intend_inside(&mut self, intent: Intent, clock: Clock, asks: &mut Vec<Ask>) -> Option<Effect> {
        match intent {
            Intent::Go(tab) => self.go(tab, clock, asks),
            Intent::Onboard(step) => {
                if let Some(opened) = self.opened_mut() {
                    opened.onboarding = step;
                }
            }
            Intent::Show(overlay) => self.show(overlay, asks),
            Intent::CloseOverlay => {
                self.overlay = None;
                self.safety = None;
                self.requesting = None;
                self.forget_dropped();
            }
            Intent::Request { to, greeting } => {
                self.requesting = Some(Ok(()));
                asks.push(contacts::Ask::Request { to, greeting }.into());
            }
            Intent::Answer { request_id, ask } => {
                // A second click on Accept is not a second answer.
                if self.answering.insert(request_id) {
                    asks.push(ask.into());
                }
            }
            Intent::AddRendezvous(address) => {
                self.network.adding = true;
                self.network.add_error = None;
                asks.push(net::Ask::AddRendezvous(address).into());
            }
            Intent::Dial(address) => {
                self.network.dialling = true;
                self.network.dial_error = None;
                asks.push(net::Ask::Dial(address).into());
            }
            Intent::Host => {
                self.network.host_starting = true;
                self.network.host_error = None;
                asks.push(net::Ask::Host.into());
            }
            Intent::Set { key, value } => {
                self.set(key, value, asks);
            }
            Intent::Presence(status) => asks.push(account::Ask::Presence(status).into()),
            intent => return self.intend_more(intent, clock, asks),
        }
        None
    }

    /// Changes a setting here at once, and in the vault.
    pub(crate) fn set(&mut self, key: Key, value: serde_json::Value, asks: &mut Vec<Ask>) {
        if self.preferences.put_off(key, &value) {
            return;
        }
        let (key, value) = self.preferences.set(key, value);
        self.preferences_changed = true;
        asks.push(account::Ask::Set { key, value }.into());
    }

    fn intend_more(&mut self, intent: Intent, clock: Clock, asks: &mut Vec<Ask>) -> Option<Effect> {
        match intent {
            Intent::Share(share) => self.share(share, asks),
            Intent::ShareSeveral(paths) => self.share_several(paths, asks),
            Intent::Preview(file_id) => self.previews.ask(file_id, asks),
            Intent::Download { file_id, path, confirm } => {
                self.overlay = None;
                self.download(file_id, path, confirm, asks);
            }
            Intent::ExportLog { path, format } => self.export_log(path, format, asks),
            Intent::ConfirmClearLog => self.confirm_clear(),
            Intent::FilterLog => self.security.read(asks),
            Intent::ReadLogOn => self.security.read_on(asks),
            Intent::AskGroup(ask) => {
                self.groups.asking = Some(Ok(()));
                asks.push(ask.into());
            }
            Intent::SearchGroups(query) => self.groups.search(&query, asks),
            Intent::OpenGroup(id) => {
                self.overlay = None;
                self.open_group(&id, clock, asks);
                return Some(Effect::FocusComposer);
            }
            intent => return self.intend_chat(intent, clock, asks),
        }
        None
    }

    fn go(&mut self, tab: Tab, clock: Clock, asks: &mut Vec<Ask>) {
        self.mark_seen(clock.now_ms, asks);
        self.swap_selection(tab, clock, asks);
        self.tab_chosen = true;
        if self.tab != tab {
            self.tab = tab;
            self.set(Key::Tab, tab.name().into(), asks);
        }
        match tab {
            Tab::Network => self.network.read_at_ms = 0,
            Tab::Profile => asks.extend([Ask::from(account::Ask::Status), account::Ask::Invite.into()]),
            Tab::Groups => self.read_groups(asks),
            Tab::Files => self.read_files(asks),
            Tab::Security => {
                self.security.read_at_ms = 0;
                self.look_at_security(asks);
            }
            Tab::Chat => {}
        }
    }

    /// Chat and groups share what shows a conversation; each remembers which was open in it.
    fn swap_selection(&mut self, tab: Tab, clock: Clock, asks: &mut Vec<Ask>) {
        let belongs = |selection: &Selection| match tab {
            Tab::Chat => matches!(selection, Selection::Conversation(_) | Selection::Request(_)),
            Tab::Groups => matches!(selection, Selection::Group(_)),
            _ => true,
        };
        let nothing_to_swap = self.chat.selection == Selection::None && !belongs(&self.chat.beside);
        if belongs(&self.chat.selection) || nothing_to_swap {
            return;
        }
        let selection = self.chat.selection.clone();
        self.leave_conversation(clock, asks);
        match std::mem::replace(&mut self.chat.beside, selection) {
            Selection::Conversation(name) if self.people.contact(&name).is_some() => {
                self.open_conversation(&name, clock, asks);
            }
            Selection::Group(id) if self.groups.get(&id).is_some() => self.open_group(&id, clock, asks),
            _ => {}
        }
    }

    pub(super) fn show(&mut self, overlay: Overlay, asks: &mut Vec<Ask>) {
        match &overlay {
            Overlay::Online => asks.push(contacts::Ask::Online.into()),
            Overlay::SafetyNumber(user) => {
                self.safety = None;
                asks.push(contacts::Ask::SafetyNumber(user.clone()).into());
            }
            Overlay::Notices => self.notices.see_all(),
            Overlay::InviteToGroup(group_id) => {
                self.groups.links.clear();
                asks.push(groups::Ask::Links(group_id.clone()).into());
            }
            _ => {}
        }
        self.forget_dropped();
        if matches!(&overlay, Overlay::FindGroup) {
            self.groups.found.clear();
            self.groups.search("", asks);
        }
        self.groups.asking = None;
        self.groups.invite = None;
        self.files.sharing = None;
        self.files.unconfirmed = None;
        self.caring = None;
        self.requesting = None;
        self.overlay = Some(overlay);
    }

    fn intend_chat(&mut self, intent: Intent, clock: Clock, asks: &mut Vec<Ask>) -> Option<Effect> {
        match intent {
            Intent::OpenConversation(name) => {
                self.overlay = None;
                self.open_conversation(&name, clock, asks);
                return Some(Effect::FocusComposer);
            }
            Intent::OpenRequest(id) => {
                self.tab = Tab::Chat;
                self.leave_conversation(clock, asks);
                self.chat.selection = Selection::Request(id);
            }
            Intent::CloseSelection => self.leave_conversation(clock, asks),
            Intent::Jump { conversation, message_id } => {
                self.overlay = None;
                if self.groups.get(&conversation).is_some() {
                    self.open_group(&conversation, clock, asks);
                } else {
                    self.open_conversation(&conversation, clock, asks);
                }
                self.jump(conversation, message_id, asks);
            }
            Intent::ScrollToEnd => self.scroll_to_end(asks),
            Intent::ToggleSearch => {
                let open = !self.chat.search.open && self.chat.conversation().is_some();
                self.chat.search = Search { open, ..Search::default() };
                if !open {
                    if let Some(timeline) = &mut self.chat.timeline {
                        timeline.found = None;
                    }
                    return Some(Effect::FocusComposer);
                }
            }
            Intent::NextHit { back } => {
                let search = &mut self.chat.search;
                let hits = search.hits.len().max(1);
                search.at = if back { search.at + hits - 1 } else { search.at + 1 } % hits;
                self.show_hit(asks);
            }
            intent => return self.intend_composer(intent, clock, asks),
        }
        None
    }
}
