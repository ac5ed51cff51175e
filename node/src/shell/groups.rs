//! Commands on groups. A group is named by its name, or by its id.

use secure_chat_protocol::id::Timestamp;
use secure_chat_protocol::limits::HOUR_MS;

use super::command::{Arguments, Done, Failure, Outcome};
use super::render::{self, safe};
use super::session::Session;
use crate::api::{At, Group, GroupState, JoinPolicy, Role};

/// Messages that `ghistory` shows unless told otherwise.
const SHOWN_MESSAGES: u32 = 20;

/// The group that a word names.
pub(super) async fn named(session: &Session, word: &str) -> Result<Group, Failure> {
    let groups = session.handle.groups_list().await?.groups;
    let mut fitting =
        groups.into_iter().filter(|group| group.group_id == word || group.name.eq_ignore_ascii_case(word));
    match (fitting.next(), fitting.next()) {
        (Some(group), None) => Ok(group),
        (None, _) => Err(Failure::mistyped(format!("You know no group {:?}: `groups` lists them.", safe(word)))),
        _ => Err(Failure::mistyped("Several groups have this name: use the id that `groups` shows.")),
    }
}

fn policy(word: Option<&str>) -> Result<JoinPolicy, Failure> {
    match word {
        Some("open") => Ok(JoinPolicy::Open),
        Some("approval") => Ok(JoinPolicy::Approval),
        Some("invite") | None => Ok(JoinPolicy::Invite),
        Some(_) => Err(Failure::mistyped("How one joins is open, approval or invite.")),
    }
}

const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "owner",
        Role::Admin => "admin",
        Role::Member => "member",
    }
}

pub(super) async fn groups(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let groups = session.handle.groups_list().await?.groups;
    if groups.is_empty() {
        return Ok("You are in no group. `gcreate NAME` makes one.".into());
    }
    let line = |group: &Group| {
        let state = match group.state {
            GroupState::Joined => group.role.map_or("member", role_name).to_owned(),
            GroupState::Invited => {
                format!("invited by {}: `gjoin` accepts", safe(group.invited_by.as_deref().unwrap_or("somebody")))
            }
            GroupState::Pending => "waits for an admin".to_owned(),
            GroupState::Left => "left".to_owned(),
        };
        let unread = if group.unread > 0 { format!(", {} unread", group.unread) } else { String::new() };
        format!("{}  {} members, {state}{unread}\n  {}", safe(&group.name), group.members, group.group_id)
    };
    Ok(groups.iter().map(line).collect::<Vec<_>>().join("\n").into())
}

pub(super) async fn create(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let name = arguments.needed()?.to_owned();
    let word = arguments.word();
    let (public, word) = if word == Some("public") { (true, arguments.word()) } else { (false, word) };
    let join = policy(word)?;
    let made = session.handle.groups_create(name, None::<String>, public, join).await?;
    Ok(made.group_id.into())
}

pub(super) async fn search(session: &mut Session, arguments: Arguments<'_>) -> Outcome {
    let found = session.handle.groups_search(arguments.rest()).await?.groups;
    let line = |group: &crate::api::GroupFound| {
        let about = safe(&group.description);
        format!("{}  {} members  {about}\n  {}", safe(&group.name), group.members, group.group_id)
    };
    Ok(if found.is_empty() {
        "No public group fits.".into()
    } else {
        found.iter().map(line).collect::<Vec<_>>().join("\n").into()
    })
}

pub(super) async fn join(session: &mut Session, arguments: Arguments<'_>) -> Outcome {
    let word = arguments.needed_rest()?;
    let link = word.to_ascii_lowercase().starts_with(secure_chat_protocol::wire::group::GROUP_INVITE_SCHEME);
    let joining = if link {
        session.handle.groups_join(None::<String>, Some(word.to_owned())).await?
    } else {
        let id = named(session, word).await.map_or_else(|_| word.to_owned(), |group| group.group_id);
        session.handle.groups_join(Some(id), None::<String>).await?
    };
    Ok(match joining.state {
        GroupState::Joined => "You are in.".into(),
        _ => "Asked. You are told when somebody lets you in.".into(),
    })
}

pub(super) async fn invite(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    let user = arguments.word().map(str::to_owned);
    let made = session.handle.groups_invite(group, user, None).await?;
    Ok(made.invite.unwrap_or_else(|| "Invited.".to_owned()).into())
}

pub(super) async fn invites(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    let invites = session.handle.groups_invites(group).await?.invites;
    let line = |invite: &crate::api::GroupInviteLink| format!("{}  by {}", invite.invite_id, safe(&invite.by));
    Ok(if invites.is_empty() {
        "No invite is open.".into()
    } else {
        invites.iter().map(line).collect::<Vec<_>>().join("\n").into()
    })
}

pub(super) async fn revoke(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    session.handle.groups_revoke_invite(group, arguments.needed_rest()?).await?;
    Ok("Revoked.".into())
}

pub(super) async fn requests(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    let requests = session.handle.groups_requests(group).await?.requests;
    let line = |request: &crate::api::GroupRequest| format!("{}  {}", safe(&request.username), request.fingerprint);
    Ok(if requests.is_empty() {
        "Nobody asks to join.".into()
    } else {
        requests.iter().map(line).collect::<Vec<_>>().join("\n").into()
    })
}

/// The group and the person that the next two words name.
async fn both(session: &Session, arguments: &mut Arguments<'_>) -> Result<(String, String), Failure> {
    let group = named(session, arguments.needed()?).await?.group_id;
    Ok((group, arguments.needed()?.to_owned()))
}

pub(super) async fn approve(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let (group, user) = both(session, &mut arguments).await?;
    session.handle.groups_approve(group, user).await?;
    Ok("Let in.".into())
}

pub(super) async fn reject(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let (group, user) = both(session, &mut arguments).await?;
    session.handle.groups_reject(group, user).await?;
    Ok("Not let in.".into())
}

pub(super) async fn members(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    let list = session.handle.groups_members(group).await?;
    let line = |member: &crate::api::GroupMember| {
        let there = if member.online { "online" } else { "away" };
        format!("{:<20} {:<7} {there}", safe(&member.username), role_name(member.role))
    };
    let mut lines: Vec<String> = list.members.iter().map(line).collect();
    lines.extend(list.banned.iter().map(|person| format!("{:<20} banned", safe(&person.username))));
    Ok(lines.join("\n").into())
}

pub(super) async fn role(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let (group, user) = both(session, &mut arguments).await?;
    let role = match arguments.needed()? {
        "owner" => Role::Owner,
        "admin" => Role::Admin,
        "member" => Role::Member,
        _ => return Err(Failure::mistyped("A role is owner, admin or member.")),
    };
    session.handle.groups_set_role(group, user, role).await?;
    Ok("Done.".into())
}

pub(super) async fn remove(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let (group, user) = both(session, &mut arguments).await?;
    session.handle.groups_remove_member(group, user).await?;
    Ok("Removed.".into())
}

pub(super) async fn ban(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let (group, user) = both(session, &mut arguments).await?;
    session.handle.groups_ban(group, user).await?;
    Ok("Banned.".into())
}

pub(super) async fn unban(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let (group, user) = both(session, &mut arguments).await?;
    session.handle.groups_unban(group, user).await?;
    Ok("They may join again.".into())
}

pub(super) async fn transfer(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let (group, user) = both(session, &mut arguments).await?;
    session.handle.groups_transfer(group, user).await?;
    Ok("Handed over.".into())
}

pub(super) async fn update(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    let what = arguments.needed()?;
    let text = arguments.needed_rest()?.to_owned();
    match what {
        "name" => session.handle.groups_update(group, Some(text), None::<String>, None).await?,
        "about" => session.handle.groups_update(group, None::<String>, Some(text), None).await?,
        "join" => session.handle.groups_update(group, None::<String>, None::<String>, policy(Some(&text))?).await?,
        _ => return Err(Failure::mistyped("name, about or join can be changed.")),
    };
    Ok("Done.".into())
}

pub(super) async fn leave(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    session.handle.groups_leave(group).await?;
    Ok("You left.".into())
}

pub(super) async fn forget(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    session.handle.groups_delete_local(group).await?;
    Ok("Forgotten here.".into())
}

pub(super) async fn mute(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    let until = match arguments.word() {
        None => None,
        Some(hours) => {
            let hours: u64 = hours.parse().map_err(|_| Failure::mistyped("Say how many hours."))?;
            let now = At::now().0;
            Some(At(if hours == 0 { Timestamp(0) } else { now.plus_ms(hours.saturating_mul(HOUR_MS)) }))
        }
    };
    session.handle.groups_mute(group, until).await?;
    Ok("Done.".into())
}

pub(super) async fn say(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    let sent = session.handle.groups_send(group, arguments.needed_rest()?, None::<String>).await?;
    Ok(session.style.dim(&format!("#{} →", session.numbers.of(&sent.message_id))).into())
}

pub(super) async fn history(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let group = named(session, arguments.needed()?).await?.group_id;
    let count = arguments.word().and_then(|word| word.parse().ok()).unwrap_or(SHOWN_MESSAGES);
    let page = session.handle.groups_history(group.clone(), None::<String>, Some(count)).await?;
    let newest = page.messages.iter().rev().find(|message| !message.mine).map(|message| message.message_id.clone());
    if let Some(up_to) = newest {
        session.handle.groups_mark_read(group, up_to).await?;
    }
    let lines: Vec<String> = page.messages.iter().map(|message| render::message(session, message)).collect();
    Ok(Done::Said(lines.join("\n")))
}
