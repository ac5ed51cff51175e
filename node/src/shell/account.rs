//! Commands on the own account.

use serde_json::Value;

use super::command::{Arguments, Failure, Outcome};
use super::render::{safe, safe_lines};
use super::session::Session;
use crate::api::{AccountState, Password, Status};

/// A person may try that often before the command is given up.
const PASSWORD_TRIES: usize = 3;

pub(super) async fn register(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let name = arguments.needed()?;
    let password = new_password(session, name).await?;
    let account = session.handle.account_create(name, password).await?;
    session.me = Some(account.username.clone());
    let name = session.style.me(&safe(&account.username));
    Ok(format!(
        "Welcome, {name}. Your fingerprint:\n    {}\nThe password can't be recovered: keep it well.",
        account.fingerprint
    )
    .into())
}

/// Asks for a password until it is good enough, twice, so that a slip is noticed.
async fn new_password(session: &mut Session, username: &str) -> Result<Password, Failure> {
    for _ in 0..PASSWORD_TRIES {
        let Some(password) = session.ask.password("New password").await else { break };
        let copy = Password::new(password.expose());
        let strength = session.handle.account_password_strength(copy, username.to_owned()).await?;
        if !strength.missing.is_empty() {
            let advice = [strength.missing, strength.warnings].concat().join("\n    ");
            let advice = format!("This password is not strong enough:\n    {}", safe_lines(&advice));
            if !session.ask.is_terminal() {
                return Err(Failure::mistyped(advice));
            }
            super::say(&session.style.warning(&advice));
            continue;
        }
        // A script doesn't slip.
        if !session.ask.is_terminal() {
            return Ok(password);
        }
        match session.ask.password("The same again").await {
            Some(again) if again.expose() == password.expose() => return Ok(password),
            Some(_) => super::say(&session.style.warning("The two are not the same.")),
            None => break,
        }
    }
    Err(Failure::mistyped("No account was made."))
}

pub(super) async fn login(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let name = arguments.word().map(str::to_owned);
    // Before anybody types a password for nothing.
    let accounts = session.handle.account_list().await?.accounts;
    if accounts.is_empty() {
        return Err(Failure::mistyped("There is no account here yet: `register NAME` makes one."));
    }
    if name.is_none() && accounts.len() > 1 {
        let names: Vec<String> = accounts.iter().map(|account| safe(&account.username)).collect();
        return Err(Failure::mistyped(format!("Which one? `login NAME`, of {}.", names.join(", "))));
    }
    let password = session.ask.password("Password").await.ok_or_else(|| Failure::mistyped("Nothing was opened."))?;
    let account = session.handle.account_unlock(password, name).await?;
    session.me = Some(account.username.clone());
    Ok(format!("Welcome back, {}.", session.style.me(&safe(&account.username))).into())
}

pub(super) async fn lock(session: &mut Session, _: Arguments<'_>) -> Outcome {
    session.handle.account_lock().await?;
    session.forget();
    Ok("Locked.".into())
}

pub(super) async fn whoami(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let status = session.handle.account_status().await?;
    let (Some(name), Some(fingerprint)) = (&status.username, &status.fingerprint) else {
        return Ok(whoami_line(session).await.into());
    };
    let peer = status.peer_id.unwrap_or_default();
    Ok(format!("{}\n    fingerprint {fingerprint}\n    peer id     {peer}", session.style.me(&safe(name))).into())
}

/// One line on where the account stands, and what to do next.
pub(super) async fn whoami_line(session: &mut Session) -> String {
    let Ok(status) = session.handle.account_status().await else { return String::new() };
    session.me = status.username;
    match (status.state, &session.me) {
        (AccountState::None, _) => "There is no account here yet: `register NAME` makes one.".to_owned(),
        (AccountState::Unlocked, Some(name)) => format!("You are {}.", session.style.me(&safe(name))),
        _ => "The account is locked: `login` opens it.".to_owned(),
    }
}

pub(super) async fn accounts(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let accounts = session.handle.account_list().await?.accounts;
    if accounts.is_empty() {
        return Ok("There is no account here yet: `register NAME` makes one.".into());
    }
    let line = |account: crate::api::AccountEntry| format!("{}  {}", safe(&account.username), account.account_id);
    Ok(accounts.into_iter().map(line).collect::<Vec<_>>().join("\n").into())
}

pub(super) async fn invite(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let invite = session.handle.account_invite().await?.invite;
    Ok(format!("{invite}\nWhoever has this link can ask you for a chat: `request LINK`.").into())
}

pub(super) async fn presence(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let status = match arguments.needed()? {
        "online" => Status::Online,
        "away" => Status::Away,
        "invisible" => Status::Invisible,
        _ => return Err(arguments.usage()),
    };
    session.handle.presence_set(status).await?;
    Ok("Done.".into())
}

pub(super) async fn settings(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let key = arguments.word().map(str::to_owned);
    let value = arguments.rest();
    let view = match key {
        Some(key) if !value.is_empty() => {
            // A word that is no JSON is meant as a text.
            let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
            session.handle.settings_set(key, value).await?
        }
        key => session.handle.settings_get(key).await?,
    };
    let lines = view.settings.iter().map(|(key, value)| format!("{} = {}", safe(key), safe(&value.to_string())));
    Ok(lines.collect::<Vec<_>>().join("\n").into())
}
