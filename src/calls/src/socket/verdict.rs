//! What becomes of a request on a socket.
#![forbid(unsafe_code)]

/// What becomes of a request on a socket.
pub enum Verdict {
    /// The request was about an interface of the net, and has been answered: the call returns
    /// this.
    Done(i32),
    /// The host has to be asked, with the program's own call.
    Host(After),
}

/// What is to be done with the host's answer, see [`SocketCall::after`](super::SocketCall::after).
pub enum After {
    /// The program gets the answer as it is.
    Nothing,
    /// The request was about an interface that it named.
    Named,
    /// The answer holds an interface's name.
    Name,
    /// The answer holds a list of addresses, for which the program has this many bytes of room.
    Addresses(i32),
    /// The answer is an address of an interface of the machine's.
    Address,
    /// The answer is about a neighbour that the host may not know.
    Neighbour,
}
