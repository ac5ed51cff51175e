//! Commands on the account's security.

use super::command::{Arguments, Failure, Outcome};
use super::render::{safe, safe_lines, table, when};
use super::session::Session;
use crate::api::{At, ExportFormat, Quarantine};

/// Entries that `audit` shows.
const AUDIT_LINES: u32 = 30;

pub(super) async fn audit(session: &mut Session, arguments: Arguments<'_>) -> Outcome {
    let query = Some(arguments.rest().to_owned()).filter(|query| !query.is_empty());
    let none = None::<String>;
    let log = session.handle.security_audit_log(None, AUDIT_LINES, none.clone(), none, None::<At>, None::<At>, query);
    let log = log.await?;
    let row = |entry: &crate::api::AuditEntryView| {
        vec![entry.seq.to_string(), when(entry.at), entry.severity.clone(), safe(&entry.kind), safe(&entry.detail)]
    };
    let chain = if log.chain_ok { "The log is unbroken." } else { "The log was CHANGED outside of this program." };
    let rows: Vec<_> = log.entries.iter().rev().map(row).collect();
    Ok(format!("{}\n{chain}", table(&rows)).into())
}

pub(super) async fn audit_export(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let format = match arguments.needed()? {
        "json" => ExportFormat::Json,
        "csv" => ExportFormat::Csv,
        "html" => ExportFormat::Html,
        _ => return Err(arguments.usage()),
    };
    let written = session.handle.security_export(arguments.needed_rest()?, format).await?;
    Ok(format!("{} written and signed.", format_args!("{} entries", written.entries)).into())
}

pub(super) async fn audit_clear(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let confirmed = arguments.word() == Some("yes");
    session.handle.security_clear(confirmed.then_some(true)).await?;
    Ok("Cleared.".into())
}

pub(super) async fn alerts(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let alerts = session.handle.security_alerts().await?.alerts;
    if alerts.is_empty() {
        return Ok("There are no alerts.".into());
    }
    let line = |alert: &crate::api::Alert| {
        let about = alert.username.as_deref().map(|name| format!(" about {}", safe(name))).unwrap_or_default();
        let (id, severity, times) = (&alert.alert_id, &alert.severity, alert.count);
        format!("[{id}] {} {severity}{about}, {times} times: {}", when(alert.at), safe_lines(&alert.detail))
    };
    Ok(alerts.iter().map(line).collect::<Vec<_>>().join("\n").into())
}

pub(super) async fn dismiss(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    session.handle.security_dismiss(arguments.needed()?).await?;
    Ok("Dismissed.".into())
}

pub(super) async fn facts(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let facts = session.handle.security_facts().await?;
    let mut rows = vec![
        vec!["identity made".to_owned(), when(facts.key_ages.identity)],
        vec!["signed prekey made".to_owned(), when(facts.key_ages.signed_prekey)],
        vec!["one-time kits".to_owned(), facts.prekeys_left.to_string()],
        vec!["verified".to_owned(), format!("{} of {}", facts.verified.verified, facts.verified.contacts)],
        vec!["vault".to_owned(), format!("{} KiB", facts.vault.bytes / 1024)],
        vec![
            "password".to_owned(),
            format!("Argon2id, {} MiB, {} passes", facts.vault.kdf_memory_kib / 1024, facts.vault.kdf_passes),
        ],
        vec!["audit log".to_owned(), format!("{} entries", facts.vault.audit_entries)],
    ];
    for fact in &facts.sessions {
        let session = match (fact.active, fact.since) {
            (true, Some(since)) => format!("session since {}", when(since)),
            _ => "no session yet".to_owned(),
        };
        rows.push(vec![safe(&fact.username), session]);
    }
    Ok(table(&rows).into())
}

pub(super) async fn reset(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    session.handle.security_reset_session(arguments.needed()?).await?;
    Ok("A new session begins with the next message.".into())
}

fn quarantined(quarantine: &Quarantine) -> String {
    if quarantine.messages.is_empty() {
        return "The quarantine is empty.".to_owned();
    }
    let line = |message: &crate::api::QuarantinedMessage| {
        let reasons = message.reasons.join(", ");
        format!("{}  {} ({reasons}): {}", message.message_id, safe(&message.username), safe(&message.text))
    };
    quarantine.messages.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) async fn quarantine(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let id = arguments.word().map(str::to_owned);
    Ok(quarantined(&session.handle.security_quarantine(id).await?).into())
}

pub(super) async fn release(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let id = arguments.word().map(str::to_owned);
    Ok(quarantined(&session.handle.security_release(id).await?).into())
}

async fn secret(session: &mut Session, prompt: &str) -> Result<crate::api::Password, Failure> {
    session.ask.password(prompt).await.ok_or_else(|| Failure::mistyped("Nothing was done."))
}

pub(super) async fn passwd(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let old = secret(session, "Password").await?;
    let new = secret(session, "New password").await?;
    session.handle.account_change_password(old, new).await?;
    Ok("The password was changed. Old copies of the vault still open with the old one: `rekey` helps against that."
        .into())
}

pub(super) async fn rekey(session: &mut Session, _: Arguments<'_>) -> Outcome {
    let password = secret(session, "Password").await?;
    session.handle.account_rekey(password).await?;
    Ok("The vault was sealed anew under fresh keys.".into())
}

pub(super) async fn backup(session: &mut Session, arguments: Arguments<'_>) -> Outcome {
    let path = arguments.needed_rest()?.to_owned();
    let passphrase = secret(session, "Passphrase of the backup").await?;
    let written = session.handle.account_export(path, passphrase).await?;
    Ok(format!("{} KiB written. Without the passphrase nobody can restore it.", written.bytes.div_ceil(1024)).into())
}

pub(super) async fn restore(session: &mut Session, arguments: Arguments<'_>) -> Outcome {
    let path = arguments.needed_rest()?.to_owned();
    let passphrase = secret(session, "Passphrase of the backup").await?;
    let password = secret(session, "New password of the account").await?;
    let account = session.handle.account_import(path, passphrase, password).await?;
    session.me = Some(account.username.clone());
    Ok(format!("Welcome back, {}. Encrypted sessions start anew.", safe(&account.username)).into())
}

pub(super) async fn wipe(session: &mut Session, mut arguments: Arguments<'_>) -> Outcome {
    let name = arguments.word().map(str::to_owned);
    let password = secret(session, "Password of the account that is to be deleted").await?;
    session.handle.account_wipe(password, name).await?;
    session.forget();
    Ok("The account is no longer on this device.".into())
}
