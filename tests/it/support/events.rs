//! One who follows the events of a gateway.

use std::net::SocketAddr;

use super::raw::Raw;

/// What has been read of them.
pub struct Events {
    raw: Raw,
    text: String,
}

impl Events {
    /// Follows `/v1/events` of the admin interface at an address, from after the event of that number on.
    #[track_caller]
    pub fn follow(admin: SocketAddr, last_seen: &str) -> Self {
        let mut raw = Raw::connect(admin);
        let field = if last_seen.is_empty() { String::new() } else { format!("Last-Event-ID: {last_seen}\r\n") };
        raw.send(format!("GET /v1/events HTTP/1.1\r\nHost: {admin}\r\n{field}\r\n"));
        let mut events = Self { raw, text: String::new() };
        events.wait("retry: 1000");
        events
    }

    /// Reads until this has been said.
    #[track_caller]
    pub fn wait(&mut self, part: &str) {
        while !self.text.contains(part) {
            self.text.push_str(&String::from_utf8(self.raw.read_some()).unwrap());
        }
    }

    /// Everything read so far.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The numbers of the events read so far.
    pub fn ids(&self) -> Vec<String> {
        self.text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect()
    }

    /// The data of the events of a kind read so far.
    pub fn of(&self, kind: &str) -> Vec<serde_json::Value> {
        let parts = self.text.split("\n\n").filter(|part| part.lines().any(|line| line == format!("event: {kind}")));
        let data = parts.filter_map(|part| part.lines().find_map(|line| line.strip_prefix("data: ")));
        data.filter_map(|data| serde_json::from_str(data).ok()).collect()
    }
}
