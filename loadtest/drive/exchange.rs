//! One connection of the load: what it is sending, and what it reads back. It refuses to know when requests are due and
//! what is counted.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use crate::link::{Link, Tls};
use crate::plan::{Abort, Plan};
use crate::sys::{Epoll, Interest, Ready};
use crate::wire::{Body, Head, Outgoing, Pattern, push_number};

/// A place for a connection, and the exchange that is on it.
pub struct Place {
    key: u64,
    tls: Option<Tls>,
    link: Option<Link>,
    connecting: bool,
    /// TLS was settled since somebody asked, and whether by a ticket.
    settled: Option<bool>,
    watched: Interest,
    /// Read and not yet understood: the beginning of a response's head.
    pending: Vec<u8>,
    out: Outgoing,
    sending: bool,
    exchange: Option<Exchange>,
}

/// A request that was begun.
pub struct Exchange {
    token: u64,
    /// Nanoseconds of the run's clock.
    pub intended: u64,
    /// Its first bytes were sent.
    pub begun: bool,
    answer: Option<Answer>,
    /// A byte of the response was seen.
    heard: bool,
}

/// A response whose head was read.
struct Answer {
    status: u16,
    body: Body,
    offset: u64,
    wrong: bool,
    close: bool,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the right response, of that status.
    Answered(u16),
    /// With a response that belongs to another request.
    Wrong,
    /// As `--abort` asks.
    Aborted,
    /// Inside the response.
    Truncated,
    /// Without a byte of a response.
    Unanswered,
    /// Before a byte of the request was sent.
    ConnectFailed,
    /// With bytes that are not HTTP.
    Unreadable,
}

impl Place {
    pub fn new(key: u64, tls: Option<Tls>) -> Self {
        Self {
            key,
            tls,
            link: None,
            connecting: false,
            settled: None,
            watched: Interest::Read,
            pending: Vec::new(),
            out: Outgoing::default(),
            sending: false,
            exchange: None,
        }
    }

    pub fn is_busy(&self) -> bool {
        self.exchange.is_some()
    }

    /// Whether it has a connection, as far as is known.
    pub fn is_open(&self) -> bool {
        self.link.is_some()
    }

    /// Begins the connection; the socket is writable once it stands.
    pub fn open(&mut self, to: SocketAddr, epoll: &Epoll) -> io::Result<()> {
        let link = Link::begin(to)?;
        epoll.add(link.as_raw_fd(), self.key, Interest::Both)?;
        self.link = Some(link);
        (self.connecting, self.watched) = (true, Interest::Both);
        Ok(())
    }

    /// Whether TLS was settled since the last time this was asked: by a ticket, or without.
    pub fn take_settled(&mut self) -> Option<bool> {
        self.settled.take()
    }

    /// Takes a request on, opening a connection if there is none. The end, if it failed at once.
    pub fn begin(&mut self, plan: &Plan, token: u64, intended: u64, tools: (&Epoll, &Pattern)) -> Option<End> {
        self.exchange = Some(Exchange { token, intended, begun: false, answer: None, heard: false });
        self.pending.clear();
        self.out.begin(token, plan.body, plan.chunked, |head| {
            head.extend_from_slice(if plan.body.is_some() { b"POST " } else { b"GET " });
            if let Some(routes) = plan.routes {
                head.extend_from_slice(b"/r");
                push_number(head, token % routes.max(1));
            }
            head.extend_from_slice(plan.path.as_bytes());
            head.extend_from_slice(b" HTTP/1.1\r\nHost: ");
            head.extend_from_slice(plan.host.as_bytes());
            head.extend_from_slice(b"\r\nUser-Agent: drive\r\nAccept: */*\r\nX-Token: ");
            push_number(head, token);
            head.extend_from_slice(if plan.new_connections { b"\r\nConnection: close\r\n" } else { b"\r\n" });
        });
        match plan.abort {
            Some(Abort::Head) => self.out.cut(true),
            Some(Abort::Body) => self.out.cut(false),
            Some(Abort::Response) | None => {}
        }
        self.sending = true;
        if self.link.is_none() {
            return self.open(plan.to, tools.0).is_err().then_some(End::ConnectFailed);
        }
        if self.connecting { None } else { self.send(plan, tools) }
    }

    /// Does what readiness allows. The exchange's end, if this was it.
    pub fn turn(&mut self, ready: Ready, plan: &Plan, tools: (&Epoll, &Pattern), scratch: &mut [u8]) -> Option<End> {
        if self.connecting {
            if !ready.writable {
                return None;
            }
            self.connecting = false;
            if self.link.as_mut().is_none_or(|link| link.stands(self.tls.as_ref()).is_err()) {
                return Some(End::ConnectFailed);
            }
            self.watch(Interest::Read, tools.0);
        }
        if self.sending
            && self.exchange.is_some()
            && let Some(end) = self.send(plan, tools)
        {
            return Some(end);
        }
        if ready.readable { self.read(plan, tools, scratch) } else { None }
    }

    /// Lets go of the exchange that ended, and of the connection unless it can carry another.
    pub fn finish(&mut self, end: End, plan: &Plan) -> Option<Exchange> {
        let exchange = self.exchange.take();
        let kept = matches!(end, End::Answered(_) | End::Wrong)
            && !self.sending
            && !plan.new_connections
            && plan.abort.is_none()
            && exchange.as_ref().and_then(|exchange| exchange.answer.as_ref()).is_some_and(|answer| !answer.close);
        if !kept {
            if let (Some(link), End::Answered(_)) = (&mut self.link, end) {
                link.end();
            }
            self.link = None;
            self.connecting = false;
        }
        exchange
    }

    /// Gives up what is unanswered, and the connection: when it was due, and whether its head was sent.
    pub fn abandon(&mut self) -> Option<(u64, bool)> {
        self.link = None;
        self.exchange.take().map(|exchange| (exchange.intended, exchange.begun))
    }

    fn send(&mut self, plan: &Plan, (epoll, pattern): (&Epoll, &Pattern)) -> Option<End> {
        let (Some(link), Some(exchange)) = (&mut self.link, &mut self.exchange) else { return None };
        if !link.is_ready() {
            return None;
        }
        match self.out.push(link, pattern) {
            Ok(all) => {
                self.sending = !all;
                exchange.begun = true;
                if all && matches!(plan.abort, Some(Abort::Head | Abort::Body)) {
                    // An end that came from the other side first shows in the read that follows.
                    link.cut();
                }
                self.watch(if all { Interest::Read } else { Interest::Both }, epoll);
                None
            }
            // The other side may have answered before it closed: what it said is still to be read.
            Err(_) if exchange.begun => {
                self.sending = false;
                self.out = Outgoing::default();
                if let Some(answer) = &mut exchange.answer {
                    answer.close = true;
                }
                self.watch(Interest::Read, epoll);
                None
            }
            Err(_) => Some(End::Unanswered),
        }
    }

    fn read(&mut self, plan: &Plan, tools: (&Epoll, &Pattern), scratch: &mut [u8]) -> Option<End> {
        let link = self.link.as_mut()?;
        let (settling, pending) = (!link.is_ready(), &mut self.pending);
        let (mut exchange, mut end) = (self.exchange.as_mut(), None);
        let open = link.read(scratch, |bytes| {
            let Some(exchange) = &mut exchange else { return };
            exchange.heard = true;
            end = match end {
                // More bytes than the response has belong to nobody.
                Some(_) => Some(End::Wrong),
                None if pending.is_empty() => exchange.hear(bytes, pending, tools.1),
                None => {
                    let mut all = std::mem::take(pending);
                    all.extend_from_slice(bytes);
                    exchange.hear(&all, pending, tools.1)
                }
            };
        });
        if settling && link.is_ready() {
            self.settled = link.resumed();
        }
        let Some(exchange) = exchange else {
            // Nothing was asked: the other side gave up an idle connection.
            if !matches!(open, Ok(true)) {
                self.link = None;
            }
            return None;
        };
        if plan.abort == Some(Abort::Response) && exchange.heard {
            link.will_reset();
            return Some(End::Aborted);
        }
        if end.is_none() && !matches!(open, Ok(true)) {
            return Some(exchange.cut(plan));
        }
        if end.is_none() && settling && self.sending { self.send(plan, tools) } else { end }
    }

    fn watch(&mut self, interest: Interest, epoll: &Epoll) {
        if let Some(link) = &self.link
            && interest != self.watched
            && epoll.modify(link.as_raw_fd(), self.key, interest).is_ok()
        {
            self.watched = interest;
        }
    }
}

// === impl Exchange ===

impl Exchange {
    /// Reads on in the response; what is not understood yet goes to `rest`.
    fn hear(&mut self, mut bytes: &[u8], rest: &mut Vec<u8>, pattern: &Pattern) -> Option<End> {
        loop {
            let Some(answer) = &mut self.answer else {
                let head = match Head::read(bytes) {
                    Ok(Some(head)) => head,
                    Ok(None) => {
                        rest.extend_from_slice(bytes);
                        return None;
                    }
                    Err(_) => return Some(End::Unreadable),
                };
                let Ok(status) = head.status() else { return Some(End::Unreadable) };
                bytes = &bytes[head.bytes..];
                if status >= 200 {
                    // What the proxy itself answers carries no token.
                    let wrong = if status < 400 { head.token != Some(self.token) } else { false };
                    self.answer = Some(Answer { status, body: head.body(false), offset: 0, wrong, close: head.close });
                }
                continue;
            };
            let Ok(taken) = answer.feed(bytes, self.token, pattern) else { return Some(End::Unreadable) };
            if !answer.body.is_done() {
                return None;
            }
            // More bytes than the response has belong to nobody.
            let wrong = answer.wrong || taken < bytes.len();
            return Some(if wrong { End::Wrong } else { End::Answered(answer.status) });
        }
    }

    /// What the end of the connection makes of this exchange.
    fn cut(&self, plan: &Plan) -> End {
        match &self.answer {
            _ if matches!(plan.abort, Some(Abort::Head | Abort::Body)) => End::Aborted,
            Some(Answer { body: Body::UntilClose, wrong: true, .. }) => End::Wrong,
            Some(Answer { body: Body::UntilClose, status, .. }) => End::Answered(*status),
            _ if self.heard => End::Truncated,
            _ if !self.begun => End::ConnectFailed,
            _ => End::Unanswered,
        }
    }
}

impl Answer {
    fn feed(&mut self, bytes: &[u8], token: u64, pattern: &Pattern) -> Result<usize, crate::wire::Broken> {
        let Self { body, offset, wrong, status, .. } = self;
        let checked = *status < 400;
        body.feed(bytes, |content| {
            *wrong |= checked && !pattern.holds(token, *offset, content);
            *offset += content.len() as u64;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an exchange with token 5 makes of `text`, the body of token `body` and `more`, read in two pieces cut at
    /// `cut`.
    fn heard(text: &str, body: u64, more: &[u8], cut: usize) -> Option<End> {
        let pattern = Pattern::new();
        let bytes = [text.as_bytes(), pattern.run(body, 0, 8), more].concat();
        let mut exchange = Exchange { token: 5, intended: 0, begun: true, answer: None, heard: true };
        let mut pending = Vec::new();
        if let Some(end) = exchange.hear(&bytes[..cut], &mut pending, &pattern) {
            return Some(end);
        }
        pending.extend_from_slice(&bytes[cut..]);
        exchange.hear(&pending, &mut Vec::new(), &pattern)
    }

    const RIGHT: &str = "HTTP/1.1 200 OK\r\nX-Token: 5\r\nContent-Length: 8\r\n\r\n";

    #[test]
    fn the_right_answer_is_right_wherever_it_is_cut() {
        for cut in 0..RIGHT.len() {
            assert_eq!(heard(RIGHT, 5, b"", cut), Some(End::Answered(200)), "cut at {cut}");
        }
    }

    #[test]
    fn the_answer_to_another_request_is_wrong() {
        assert_eq!(heard(&RIGHT.replace("Token: 5", "Token: 6"), 5, b"", 9), Some(End::Wrong));
        assert_eq!(heard(&RIGHT.replace("X-Token: 5\r\n", ""), 5, b"", 9), Some(End::Wrong));
        assert_eq!(heard(RIGHT, 6, b"", 9), Some(End::Wrong));
    }

    #[test]
    fn bytes_behind_the_answer_are_wrong() {
        assert_eq!(heard(RIGHT, 5, b"HTTP/1.1 200 OK\r\n", 9), Some(End::Wrong));
    }

    #[test]
    fn an_answer_of_the_proxy_itself_is_told_by_its_status() {
        let text = RIGHT.replace("200 OK\r\nX-Token: 5", "502 Bad Gateway");
        assert_eq!(heard(&text, 6, b"", 9), Some(End::Answered(502)));
    }

    #[test]
    fn an_interim_response_is_passed_over() {
        let text = format!("HTTP/1.1 103 Early Hints\r\n\r\n{RIGHT}");
        assert_eq!(heard(&text, 5, b"", 9), Some(End::Answered(200)));
    }
}
