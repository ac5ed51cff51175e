//! The name of a public group: the directories are asked first whether somebody else has it, or one
//! that looks like it. Without a directory that answers in time it goes on, and an alert comes later.

use std::time::Duration;

use futures::future::join_all;
use secure_chat_protocol::id::{GroupId, Timestamp};
use secure_chat_protocol::listing::Listing;
use secure_chat_protocol::validate::GroupName;

use super::Group;
use super::directory::search;
use crate::api::{ApiError, Done, ErrorKind, GroupMade, Reply, params};
use crate::engine::state::Open;
use crate::engine::step::Step;
use crate::engine::work::Work;
use crate::network::{Address, NetworkHandle};

/// How long the person waits for slow directories.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be named.
pub(crate) enum Naming {
    Create(params::GroupsCreate, Reply<GroupMade>),
    Update(params::GroupsUpdate, Reply<Done>),
}

impl Naming {
    fn refuse(self, step: &mut Step<'_>) {
        let text = "Another public group has this name, or one that looks like it. Choose another.";
        let error = ApiError { field: Some("name"), ..ApiError::new(ErrorKind::NameTaken, text) };
        match self {
            Self::Create(_, reply) => step.reply(reply, Err(error)),
            Self::Update(_, reply) => step.reply(reply, Err(error)),
        }
    }
}

impl Open {
    /// `groups.create` and `groups.update`.
    pub(super) fn name_group(&mut self, step: &mut Step<'_>, naming: Naming) {
        let Some((own, name)) = self.name_to_ask_for(&naming) else { return self.named(step, false, naming) };
        let (net, homes, now) = (self.net.clone(), self.ready_homes(), step.now);
        step.work(async move {
            let asked = tokio::time::timeout(PATIENCE, is_taken(&net, homes, &name, own, now));
            Work::GroupNamed { taken: asked.await.unwrap_or(false), naming }
        });
    }

    /// The name, where there is somebody to ask; and whose it may be.
    fn name_to_ask_for(&self, naming: &Naming) -> Option<(Option<GroupId>, GroupName)> {
        if self.ready_homes().is_empty() {
            return None;
        }
        match naming {
            Naming::Create(params, _) => {
                let name = GroupName::parse(params.name.trim()).ok()?;
                params.public.then_some((None, name))
            }
            Naming::Update(params, _) => {
                let group = self.group_named(&params.group_id).ok()?;
                let about = self.groups.get(&group).and_then(Group::view).map(|view| &view.about)?;
                let name = GroupName::parse(params.name.as_deref()?.trim()).ok()?;
                (about.public && about.name != name.as_str()).then_some((Some(group), name))
            }
        }
    }

    /// It is known whether a name is taken.
    pub(in crate::engine) fn named(&mut self, step: &mut Step<'_>, taken: bool, naming: Naming) {
        match naming {
            naming if taken => naming.refuse(step),
            Naming::Create(params, reply) => {
                let result = self.create_group(step, params);
                step.reply(reply, result);
            }
            Naming::Update(params, reply) => {
                let result = self.update_group(step, params);
                step.reply(reply, result);
            }
        }
    }
}

/// Whether one of the directories lists another group than `own` that can be taken for this one.
async fn is_taken(
    net: &NetworkHandle,
    homes: Vec<Address>,
    name: &GroupName,
    own: Option<GroupId>,
    now: Timestamp,
) -> bool {
    // Whoever writes it with letters of another alphabet is found by what it looks like.
    let mut queries = name.looks();
    queries.insert(name.as_str().to_lowercase());
    let asked = homes.iter().flat_map(|home| queries.iter().map(move |query| search(net, home.clone(), query)));
    let listings = join_all(asked).await.into_iter().flatten();
    let mut others = listings.filter_map(|bytes| Listing::decode(&bytes.0, now).ok());
    others.any(|listing| Some(listing.group()) != own && listing.name().resembles(name))
}
