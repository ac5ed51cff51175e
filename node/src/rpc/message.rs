//! What a line asks, and how an answer is written: JSON-RPC 2.0 without its transport.
//! <https://www.jsonrpc.org/specification>

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::{CallError, NumberedEvent};
use crate::lines::LINE_MAX_BYTES;

/// Requests in one batch.
pub(super) const BATCH_MAX_REQUESTS: usize = 1_000;

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const APPLICATION_ERROR: i32 = -32000;

/// A line, understood.
#[derive(Debug, PartialEq)]
pub(super) enum Asked {
    /// Blank.
    Nothing,
    /// One request.
    One(Item),
    /// Several, answered together.
    Batch(Vec<Item>),
}

/// One request, or what was taken for one.
#[derive(Debug, PartialEq)]
pub(super) enum Item {
    /// Well-formed.
    Call(Call),
    /// Not a request: this is the answer.
    Refused(Response),
}

/// A well-formed request.
#[derive(PartialEq)]
pub(super) struct Call {
    /// `None` in a notification, which gets no answer.
    pub(super) id: Option<Value>,
    /// The method's name.
    pub(super) method: String,
    /// An object, or null.
    pub(super) params: Value,
}

// Parameters may hold a password.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("id", &self.id).field("method", &self.method).finish_non_exhaustive()
    }
}

/// An answer.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Response {
    jsonrpc: &'static str,
    id: Value,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Result(Value),
    Error(ErrorObject),
}

#[derive(Debug, PartialEq, Serialize)]
struct ErrorObject {
    code: i32,
    message: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    data: Value,
}

impl Response {
    fn error(id: Value, code: i32, message: impl Into<String>, data: Value) -> Self {
        let outcome = Outcome::Error(ErrorObject { code, message: message.into(), data });
        Self { jsonrpc: "2.0", id, outcome }
    }

    /// The answer to a request with this id.
    pub(super) fn to(id: Value, result: Result<Value, CallError>) -> Self {
        match result {
            Ok(result) => Self { jsonrpc: "2.0", id, outcome: Outcome::Result(result) },
            Err(CallError::UnknownMethod(method)) => {
                let message = format!("There is no method {method:?}.");
                Self::error(id, METHOD_NOT_FOUND, message, json!({ "method": method }))
            }
            Err(CallError::InvalidParams { message, field }) => {
                Self::error(id, INVALID_PARAMS, message, json!({ "field": field }))
            }
            Err(CallError::Api(error)) => {
                let data = serde_json::to_value(&error).unwrap_or_default();
                Self::error(id, APPLICATION_ERROR, error.message, data)
            }
        }
    }

    /// The answer to a line that was too long to be read.
    pub(super) fn line_too_long() -> Self {
        let message = format!("The line has more than {LINE_MAX_BYTES} bytes.");
        let data = json!({ "kind": "too_large", "limit_bytes": LINE_MAX_BYTES });
        Self::error(Value::Null, PARSE_ERROR, message, data)
    }
}

/// Understands a line.
pub(super) fn parse(line: &[u8]) -> Asked {
    if line.iter().all(u8::is_ascii_whitespace) {
        return Asked::Nothing;
    }
    let refused =
        |code, message: String| Asked::One(Item::Refused(Response::error(Value::Null, code, message, Value::Null)));
    match serde_json::from_slice(line) {
        // serde_json names position and kind of the mistake, never the text.
        Err(error) => refused(PARSE_ERROR, format!("This is not JSON: {error}.")),
        Ok(Value::Array(items)) if items.is_empty() => refused(INVALID_REQUEST, "The batch is empty.".into()),
        Ok(Value::Array(items)) if items.len() > BATCH_MAX_REQUESTS => {
            refused(INVALID_REQUEST, format!("A batch has at most {BATCH_MAX_REQUESTS} requests."))
        }
        Ok(Value::Array(items)) => Asked::Batch(items.into_iter().map(item).collect()),
        Ok(value) => Asked::One(item(value)),
    }
}

fn item(value: Value) -> Item {
    let refused = |id, message: &str| Item::Refused(Response::error(id, INVALID_REQUEST, message, Value::Null));
    let Value::Object(mut object) = value else { return refused(Value::Null, "A request is an object.") };
    let id = object.remove("id");
    if !matches!(id, None | Some(Value::Null | Value::String(_) | Value::Number(_))) {
        return refused(Value::Null, "An id is a string, a number or null.");
    }
    let known_id = || id.clone().unwrap_or_default();
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return refused(known_id(), "A request says \"jsonrpc\": \"2.0\".");
    }
    let Some(Value::String(method)) = object.remove("method") else {
        return refused(known_id(), "A request names its \"method\".");
    };
    match object.remove("params") {
        // Some clients write null for none.
        None | Some(Value::Null) => Item::Call(Call { id, method, params: Value::Null }),
        Some(params @ Value::Object(_)) => Item::Call(Call { id, method, params }),
        Some(Value::Array(list)) if list.is_empty() => {
            Item::Call(Call { id, method, params: Value::Object(Map::new()) })
        }
        Some(Value::Array(_)) => {
            let message = "Parameters go by name, in an object.";
            Item::Refused(Response::error(known_id(), INVALID_PARAMS, message, json!({ "field": "params" })))
        }
        Some(_) => refused(known_id(), "\"params\" is an object."),
    }
}

/// Appends a line with this value.
pub(super) fn write_line(out: &mut Vec<u8>, value: &impl Serialize) {
    let before = out.len();
    // Can't fail: all keys are strings, and a vector takes everything.
    if serde_json::to_writer(&mut *out, value).is_ok() {
        out.push(b'\n');
    } else {
        out.truncate(before);
    }
}

/// Appends a line that tells an event.
pub(super) fn write_event(out: &mut Vec<u8>, event: &NumberedEvent) {
    #[derive(Serialize)]
    struct Notification<'a> {
        jsonrpc: &'static str,
        method: &'static str,
        params: &'a NumberedEvent,
    }
    write_line(out, &Notification { jsonrpc: "2.0", method: "event", params: event });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::{ApiError, ErrorKind};

    /// Code and id of the answer that a refused line gets.
    fn refusal(line: &str) -> (i64, Value) {
        let Asked::One(Item::Refused(response)) = parse(line.as_bytes()) else { panic!("{line} was not refused") };
        let answer = serde_json::to_value(response).unwrap();
        (answer["error"]["code"].as_i64().unwrap(), answer["id"].clone())
    }

    #[test]
    fn what_is_not_json_gets_32700() {
        for line in ["{", "hello", "{\"a\":1}}", "\u{feff}{}", &"[".repeat(100_000)] {
            assert_eq!(refusal(line), (-32700, Value::Null), "{line:.20}");
        }
    }

    #[test]
    fn what_is_not_a_request_gets_32600_with_its_id_if_it_has_one() {
        for line in ["1", "null", "[]", "{\"jsonrpc\":\"2.0\",\"id\":[1],\"method\":\"status\"}"] {
            assert_eq!(refusal(line), (-32600, Value::Null), "{line}");
        }
        for line in [
            "{\"id\":7}",
            "{\"jsonrpc\":\"1.0\",\"id\":7,\"method\":\"status\"}",
            "{\"jsonrpc\":\"2.0\",\"id\":7}",
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":3}",
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"status\",\"params\":3}",
        ] {
            assert_eq!(refusal(line), (-32600, json!(7)), "{line}");
        }
    }

    #[test]
    fn parameters_by_position_get_32602() {
        assert_eq!(refusal("{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"status\",\"params\":[1]}"), (-32602, json!(7)));
    }

    #[test]
    fn a_batch_with_too_many_requests_is_refused_as_one() {
        let batch = Value::Array(vec![json!({}); BATCH_MAX_REQUESTS + 1]);
        assert_eq!(refusal(&batch.to_string()), (-32600, Value::Null));
    }

    #[test]
    fn a_batch_keeps_what_is_well_formed_beside_what_is_not() {
        let Asked::Batch(items) = parse(br#"[1, {"jsonrpc":"2.0","method":"status"}]"#) else { panic!() };
        assert!(matches!(items.as_slice(), [Item::Refused(_), Item::Call(Call { id: None, .. })]));
    }

    #[test]
    fn an_application_error_carries_its_kind_and_field() {
        let error = ApiError::invalid("username", "Too short.");
        let answer = serde_json::to_value(Response::to(json!("a"), Err(error.into()))).unwrap();
        let expected = json!({"jsonrpc": "2.0", "id": "a", "error": {
            "code": -32000, "message": "Too short.", "data": {"kind": "invalid_input", "field": "username"}}});
        assert_eq!(answer, expected);
        let locked = serde_json::to_value(Response::to(json!(1), Err(ApiError::locked().into()))).unwrap();
        assert_eq!(locked["error"]["data"], json!({"kind": ErrorKind::Locked}));
    }

    #[test]
    fn parameters_are_never_shown_in_a_log() {
        let asked = parse(br#"{"jsonrpc":"2.0","id":1,"method":"account.unlock","params":{"password":"hunter2"}}"#);
        assert!(!format!("{asked:?}").contains("hunter2"));
    }

    /// What becomes of all lines of a stream: each is read, understood, and asked of a node that has stopped.
    fn served(input: &[u8]) -> String {
        let (commands, _) = tokio::sync::mpsc::channel(1);
        let handle = crate::api::NodeHandle::new(commands, &tokio::sync::broadcast::channel(1).0);
        let mut told = String::new();
        let mut lines = crate::lines::Lines::new(input);
        futures::executor::block_on(async {
            loop {
                let items = match lines.next().await {
                    crate::lines::Line::End => return,
                    crate::lines::Line::TooLong => vec![Item::Refused(Response::line_too_long())],
                    crate::lines::Line::Whole(line) => match parse(&line) {
                        Asked::Nothing => Vec::new(),
                        Asked::One(item) => vec![item],
                        Asked::Batch(items) => items,
                    },
                };
                for item in items {
                    let response = match item {
                        Item::Refused(response) => response,
                        Item::Call(Call { id, method, params }) => {
                            let result = crate::api::call(&handle, &method, params).await;
                            Response::to(id.unwrap_or_default(), result)
                        }
                    };
                    let answer = serde_json::to_value(&response).unwrap();
                    assert!(!answer.to_string().contains('\n'), "an answer is one line");
                    told = format!("{told} {}", answer["error"]["code"]);
                }
                told.truncate(24);
            }
        });
        told
    }

    #[test]
    fn no_lines_make_the_peer_panic_and_each_answer_is_one_line() {
        let calls = [
            ("messages.send", json!({"to": "bob", "text": "hello", "reply_to": null})),
            ("security.audit_log", json!({"before": 7, "limit": 50, "since": "2026-11-23T10:00:00Z"})),
            ("groups.create", json!({"name": "Hikers", "public": true, "join": "approval"})),
            ("files.share", json!({"path": "/tmp/a", "to": "bob", "expires": "24h"})),
            ("network.host_rendezvous", json!({"listen": ["/ip4/127.0.0.1/tcp/0"]})),
        ];
        let line =
            |(method, params): &(&str, Value)| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut seeds: Vec<Vec<u8>> = calls.iter().map(|call| line(call).to_string().into_bytes()).collect();
        seeds.push(Value::Array(calls.iter().take(2).map(line).collect()).to_string().into_bytes());
        seeds.push(seeds[..2].join(&b'\n'));
        crate::fuzz::survives(&seeds, served);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }

        #[test]
        fn any_id_comes_back_as_it_was(number in any::<i64>(), text in ".*") {
            for id in [json!(number), json!(text)] {
                let line = json!({"jsonrpc": "2.0", "id": id, "method": "status"}).to_string();
                let Asked::One(Item::Call(call)) = parse(line.as_bytes()) else { panic!() };
                prop_assert_eq!(call.id, Some(id));
            }
        }
    }
}
