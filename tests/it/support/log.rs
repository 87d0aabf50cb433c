//! One line of the JSON access log.

use serde_json::Value;

/// One exchange, as the log tells it.
#[derive(Clone, Debug)]
pub struct LogLine(pub Value);

impl LogLine {
    /// The line, if it is one of the access log: an object with `request_id`.
    pub fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        value.get("request_id").is_some().then_some(Self(value))
    }

    /// A text field; the field must be there.
    #[track_caller]
    pub fn str(&self, name: &str) -> &str {
        self.0.get(name).and_then(Value::as_str).unwrap_or_else(|| panic!("no text field {name} in {}", self.0))
    }

    /// A number; the field must be there.
    #[track_caller]
    pub fn num(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or_else(|| panic!("no number {name} in {}", self.0))
    }

    /// The cause word.
    #[track_caller]
    pub fn ended(&self) -> &str {
        self.str("ended")
    }

    /// The request target.
    #[track_caller]
    pub fn path(&self) -> &str {
        self.str("path")
    }
}
