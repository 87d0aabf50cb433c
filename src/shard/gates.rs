//! What one core keeps of upstreams and routes beside its balancers, and across reloads: who waits before an upstream, what
//! its latency says of how much it can take, and how long the answers of a route take. It refuses to know who may pass.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;

use crate::id::RouteSlot;
use crate::id::UpstreamSlot;
use crate::io::queue::Queue;
use crate::policy::gradient::Gradient;
use crate::policy::quantile::Times;

/// By slot, made when first asked for.
#[derive(Debug, Default)]
pub struct Gates {
    upstreams: RefCell<Vec<Option<Rc<Gate>>>>,
    routes: RefCell<Vec<Option<Rc<RefCell<Times>>>>>,
}

/// Before one upstream.
#[derive(Debug, Default)]
pub struct Gate {
    /// Who waits.
    pub queue: Queue,
    /// Requests of this core that have passed and not ended.
    pub passed: Cell<u32>,
    /// How many may, where that follows the latency.
    pub gradient: RefCell<Gradient>,
}

impl Gates {
    /// The gate before an upstream.
    #[must_use]
    pub fn upstream(&self, slot: UpstreamSlot) -> Rc<Gate> {
        at(&mut self.upstreams.borrow_mut(), slot.index())
    }

    /// The times of a route to a response head.
    #[must_use]
    pub fn times(&self, slot: RouteSlot) -> Rc<RefCell<Times>> {
        at(&mut self.routes.borrow_mut(), slot.index())
    }

    /// Puts out all who wait: nothing more is to be had.
    pub fn clear(&self) {
        self.upstreams.borrow().iter().flatten().for_each(|gate| gate.queue.clear());
    }

    /// Tells the first before each upstream to look: a place may have become free on another core. To be called every tick.
    pub fn look(&self) {
        self.upstreams.borrow().iter().flatten().for_each(|gate| gate.queue.call());
    }
}

fn at<T: Default>(list: &mut Vec<Option<Rc<T>>>, index: usize) -> Rc<T> {
    if list.len() <= index {
        list.resize_with(index + 1, || None);
    }
    list.get_mut(index).map_or_else(Rc::default, |entry| entry.get_or_insert_default().clone())
}
