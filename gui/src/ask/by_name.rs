//! Commands by their name, as scripts call them: the window reads of each
//! answer what it shows, and a field that is new breaks nothing.

use secure_chat_node::api::{ApiError, CallError, ErrorKind, METHODS, NodeHandle, call};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Answered;

/// Whether this node knows the command.
pub(crate) fn knows(method: &str) -> bool {
    METHODS.contains(&method)
}

/// Calls a command; `params` without those that are null.
pub(super) async fn ask<T: DeserializeOwned>(node: &NodeHandle, method: &str, mut params: Value) -> Answered<T> {
    if let Value::Object(fields) = &mut params {
        fields.retain(|_, value| !value.is_null());
    }
    let answer = call(node, method, params).await.map_err(sentence)?;
    serde_json::from_value(answer).map_err(|error| ApiError::new(ErrorKind::Internal, error.to_string()))
}

/// The same, where nothing is answered.
pub(super) async fn tell(node: &NodeHandle, method: &str, params: Value) -> Answered<()> {
    ask::<Value>(node, method, params).await.map(|_| ())
}

fn sentence(error: CallError) -> ApiError {
    match error {
        CallError::Api(error) => error,
        other => ApiError::new(ErrorKind::InvalidInput, other.to_string()),
    }
}
