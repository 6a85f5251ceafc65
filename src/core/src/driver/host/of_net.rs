//! The routes and the neighbours of a net.
#![forbid(unsafe_code)]

use super::change::{self, Ask};
use super::neighbour::{Neighbour, STATES};
use super::route::Route;
use crate::driver::net::Net;
use memtun_abi::error::Result;
use memtun_stack::State;

impl Net {
    /// The routes of the net: those that lead into its interfaces and those that its programs have
    /// made, of all tables but `local`, which holds the host's own addresses. The machine's own
    /// routes are not among them.
    ///
    /// # Errors
    /// EUCLEAN when the net is damaged, and what reading it fails with otherwise.
    pub fn routes(&self) -> Result<Vec<Route>> {
        let state = change::state(self.joined())?;
        let names = Names::of(self, &state)?;
        let local = u32::from(libc::RT_TABLE_LOCAL);
        let routes = state.routes.iter().filter(|route| route.table != local);
        Ok(routes
            .map(|route| Route::of(route, |index| names.name(index)))
            .collect())
    }

    /// Adds a route, as `ip route add` does.
    ///
    /// # Errors
    /// - EEXIST when there is such a route.
    /// - ENETUNREACH when the gateway cannot be reached.
    /// - ENETDOWN when the interface is down.
    /// - ENODEV when there is no interface of that name.
    /// - ENOSYS when no host process can be started; the sentence says what is missing.
    pub fn add_route(&self, route: &Route) -> Result<()> {
        let flags = change::CREATE | libc::NLM_F_EXCL as u16;
        self.change_route(route, libc::RTM_NEWROUTE, flags)
    }

    /// Deletes a route, as `ip route del` does.
    ///
    /// # Errors
    /// ESRCH when there is no such route; the others are those of [`Net::add_route`].
    pub fn remove_route(&self, route: &Route) -> Result<()> {
        self.change_route(route, libc::RTM_DELROUTE, change::PLAIN)
    }

    /// Gives the net these routes and no others: what [`Net::routes`] has beside them is taken
    /// away.
    ///
    /// # Errors
    /// The same as [`Net::add_route`].
    pub fn set_routes(&self, routes: &[Route]) -> Result<()> {
        for old in self.routes()? {
            if !routes.iter().any(|new| new.is(&old)) {
                match self.remove_route(&old) {
                    // A route goes with the one that leads to its gateway.
                    Err(e) if e.errno().0 == libc::ESRCH => {}
                    done => done?,
                }
            }
        }
        let present = self.routes()?;
        let mut missing = routes
            .iter()
            .filter(|new| !present.iter().any(|old| new.is(old)));
        missing.try_for_each(|new| self.add_route(new))
    }

    fn change_route(&self, route: &Route, kind: u16, flags: u16) -> Result<()> {
        let ask = Ask::of(self.joined());
        let index = match &route.dev {
            Some(name) => Some(ask.index_of(name)?),
            None => None,
        };
        let message = route.message(kind, flags, index);
        ask.change(
            &message,
            &format!("net {}: route {route}", self.path().display()),
        )
    }

    /// The neighbours of the net's interfaces. The machine's own are not among them.
    ///
    /// # Errors
    /// EUCLEAN when the net is damaged, and what reading it fails with otherwise.
    pub fn neighbours(&self) -> Result<Vec<Neighbour>> {
        let state = change::state(self.joined())?;
        let names = Names::of(self, &state)?;
        let found = state.neighbours.iter().filter_map(|n| {
            let bit = n.state.trailing_zeros() as usize;
            Some(Neighbour {
                address: n.address,
                dev: names.name(n.index)?,
                lladdr: n.lladdr.as_slice().try_into().ok(),
                proxy: n.flags & libc::NTF_PROXY != 0,
                state: STATES.get(bit).copied().unwrap_or("none"),
            })
        });
        Ok(found.collect())
    }

    /// Adds a neighbour, as `ip neighbour replace` does: one that is there gets the new link-layer
    /// address.
    ///
    /// # Errors
    /// - ENODEV when there is no interface of that name.
    /// - EINVAL when the interface cannot have such a neighbour.
    /// - ENOSYS when no host process can be started; the sentence says what is missing.
    pub fn add_neighbour(&self, neighbour: &Neighbour) -> Result<()> {
        let flags = change::CREATE | libc::NLM_F_REPLACE as u16;
        self.change_neighbour(neighbour, libc::RTM_NEWNEIGH, flags)
    }

    /// Deletes a neighbour, as `ip neighbour del` does.
    ///
    /// # Errors
    /// ENOENT when there is no such neighbour; the others are those of [`Net::add_neighbour`].
    pub fn remove_neighbour(&self, neighbour: &Neighbour) -> Result<()> {
        self.change_neighbour(neighbour, libc::RTM_DELNEIGH, change::PLAIN)
    }

    /// Gives the net these neighbours and no others: what [`Net::neighbours`] has beside them is
    /// taken away.
    ///
    /// # Errors
    /// The same as [`Net::add_neighbour`].
    pub fn set_neighbours(&self, neighbours: &[Neighbour]) -> Result<()> {
        for old in self.neighbours()? {
            if !neighbours.iter().any(|new| new.key() == old.key()) {
                match self.remove_neighbour(&old) {
                    Err(e) if e.errno().0 == libc::ENOENT => {}
                    done => done?,
                }
            }
        }
        let present = self.neighbours()?;
        let mut missing = neighbours.iter().filter(|new| !present.contains(new));
        missing.try_for_each(|new| self.add_neighbour(new))
    }

    fn change_neighbour(&self, neighbour: &Neighbour, kind: u16, flags: u16) -> Result<()> {
        let ask = Ask::of(self.joined());
        let index = ask.index_of(&neighbour.dev)?;
        let message = neighbour.message(kind, flags, index);
        let path = self.path().display();
        ask.change(&message, &format!("net {path}: neighbour {neighbour}"))
    }
}

/// The names of interfaces by their index.
struct Names(Vec<(u32, String)>);

impl Names {
    /// Looks up the names of the net's interfaces, and of the links that its host knows besides.
    fn of(net: &Net, state: &State) -> Result<Names> {
        let links = state.links.iter();
        let known = links.map(|link| (link.index, link.name.to_string()));
        let ours = net.interfaces()?;
        let ours = ours.iter().map(|i| (i.index, i.name.to_string()));
        Ok(Names(ours.chain(known).collect()))
    }

    /// Returns the name of an index.
    fn name(&self, index: u32) -> Option<String> {
        let found = self.0.iter().find(|(known, _)| *known == index);
        found.map(|(_, name)| name.clone())
    }
}
