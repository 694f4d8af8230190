//! Memory for bodies that are not answered yet. Nobody knows at first who sends them: all share it, and one peer has no more
//! than its share, so that it cannot keep the others' out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::listener::household;

/// One peer has at most this part of the room, as it has of the connections.
const SHARE: usize = 4;

/// The room, in bytes.
pub(super) struct Unread {
    most: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// What one body takes up; given back when it goes.
pub(super) struct Room {
    unread: Arc<Unread>,
    peer: IpAddr,
    bytes: usize,
}

impl Unread {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default() })
    }

    /// For a body of this peer; nothing is taken up yet.
    pub(super) fn room(self: &Arc<Self>, peer: IpAddr) -> Room {
        Room { unread: Arc::clone(self), peer: household(peer), bytes: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Takes up more. False: there is none, and nothing was taken.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let mut taken = self.unread.lock();
        let of_peer = taken.by_peer.get(&self.peer).copied().unwrap_or_default();
        let fits = |now: usize, most: usize| now.checked_add(bytes).is_some_and(|sum| sum <= most);
        if !fits(taken.total, self.unread.most) || !fits(of_peer, self.unread.most / SHARE) {
            return false;
        }
        taken.total += bytes;
        taken.by_peer.insert(self.peer, of_peer + bytes);
        drop(taken);
        self.bytes += bytes;
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut taken = self.unread.lock();
        taken.total -= self.bytes;
        if let Some(of_peer) = taken.by_peer.get_mut(&self.peer) {
            *of_peer -= self.bytes;
            if *of_peer == 0 {
                taken.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_peer_leaves_room_for_the_others() {
        let unread = Unread::new(100);
        let room = |peer: &str| unread.room(peer.parse().expect("an address"));
        let (mut first, mut second) = (room("2001:db8::1"), room("2001:db8::2"));
        assert!(first.grow(20) && second.grow(5), "a quarter for one household");
        assert!(!first.grow(1) && !second.grow(1));
        let mut others: Vec<Room> = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map(room).into();
        assert!(others.iter_mut().all(|other| other.grow(25)), "others have theirs");
        assert!(!room("192.0.2.4").grow(1), "all of it is taken");
        assert!(!others[0].grow(usize::MAX));

        drop(first);
        assert!(second.grow(20) && !second.grow(1));
        drop((second, others));
        let left = unread.lock();
        assert_eq!((left.total, left.by_peer.len()), (0, 0), "nothing is left behind");
    }
}
