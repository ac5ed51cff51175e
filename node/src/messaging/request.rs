//! Chat requests, from and to others.

use secure_chat_protocol::id::{AccountId, MessageId, Timestamp};
use secure_chat_protocol::limits::REQUEST_EXPIRES_MS;
use serde::{Deserialize, Serialize};

use crate::api::{At, ChatRequest, RequestState};

/// One chat request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Names it here.
    pub id: MessageId,
    /// The other one.
    pub account: AccountId,
    /// The other's name when it was made.
    pub username: String,
    /// From the other, not from us.
    pub incoming: bool,
    /// What the asker wrote.
    pub greeting: String,
    /// When.
    pub at: Timestamp,
    /// Where it stands.
    pub state: RequestState,
}

impl Request {
    /// Whether it waits for an answer.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.state == RequestState::Pending
    }

    /// Ends it when nobody answered in time. Says whether it did.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let over = self.is_pending() && now.since_ms(self.at) > REQUEST_EXPIRES_MS;
        if over {
            self.state = RequestState::Expired;
        }
        over
    }

    /// As the application sees it.
    #[must_use]
    pub fn view(&self) -> ChatRequest {
        ChatRequest {
            request_id: self.id.to_string(),
            username: self.username.clone(),
            account_id: self.account.to_string(),
            fingerprint: self.account.fingerprint(),
            greeting: self.greeting.clone(),
            at: At(self.at),
            state: self.state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_nobody_answers_ends() {
        let mut request = Request {
            id: MessageId([1; 16]),
            account: AccountId([2; 32]),
            username: "bob".into(),
            incoming: true,
            greeting: String::new(),
            at: Timestamp(1_000),
            state: RequestState::Pending,
        };
        assert!(!request.expire(Timestamp(1_000 + REQUEST_EXPIRES_MS)));
        assert!(request.expire(Timestamp(1_001 + REQUEST_EXPIRES_MS)));
        assert!(!request.is_pending());
    }
}
