//! The program of classic BPF that filters what a tap is sent: TUNATTACHFILTER and its relatives
//! (`tun_attach_filter`, `sk_attach_filter`).
#![forbid(unsafe_code)]

use crate::bpf::{Checker, Instruction, MOST};
use crate::net::NetDir;
use crate::shm::layout::{InterfaceState, TunnelState, BY_PROGRAM};
use crate::sys;
use crate::tun::Tunnel;
use crate::uapi::IFF_NOFILTER;
use crate::{Argument, Errno};
use std::ops::Deref;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

/// Bytes of `struct sock_fprog`.
const GIVEN: usize = 16;

/// What a program is given by (`struct sock_fprog`).
#[derive(Clone, Copy)]
struct Given {
    /// Number of instructions.
    len: usize,
    /// Address of the first instruction.
    at: usize,
}

impl Given {
    fn of(interface: &InterfaceState) -> Given {
        let [head, at] = interface.program_given.each_ref();
        let [l0, l1, ..] = head.load(Relaxed).to_ne_bytes();
        Given {
            len: u16::from_ne_bytes([l0, l1]).into(),
            at: at.load(Relaxed) as usize,
        }
    }
}

impl<N: Deref<Target = NetDir>> Tunnel<N> {
    /// Carries out TUNATTACHFILTER. The caller holds the net's lock.
    ///
    /// # Errors
    ///
    /// - EFAULT when the argument or the program is not readable.
    /// - EINVAL for a program that the kernel does not take.
    /// - ENOMEM when the program is too large for a socket, or no file can be made for it.
    pub(in crate::tun) fn attach_program(
        &self,
        interface: &InterfaceState,
        arg: &mut impl Argument,
    ) -> Result<(), Errno> {
        let mut given = [0; GIVEN];
        let fetched = arg.fetch(&mut given);
        if fetched.is_err() {
            // What can be read before the end of the memory is kept all the same, and the rest is
            // zeroes.
            given = [0; GIVEN];
            (0..GIVEN).find(|at| arg.fetch_part(*at, &mut given[*at..=*at]).is_err());
        }
        for (place, bytes) in interface.program_given.iter().zip(given.chunks_exact(8)) {
            let word = bytes.first_chunk().map(|word| u64::from_ne_bytes(*word));
            place.store(word.unwrap_or(0), Relaxed);
        }
        fetched?;
        let given = Given::of(interface);
        let attached = interface.attached_queues();
        for (done, inode) in interface.queue_inodes().take(attached).enumerate() {
            let attach = |tunnel: &TunnelState| self.net.give(interface, tunnel, given, arg);
            let given = if inode == self.inode {
                attach(&self.state)
            } else {
                let tunnel = self.net.tunnel(inode);
                tunnel.and_then(|tunnel| attach(&tunnel))
            };
            // As in the kernel, who has the program already loses it, and the one that was to be
            // replaced stays with the others.
            given.inspect_err(|_| self.take_programs(interface, done))?;
        }
        interface.program_attached.store(1, Relaxed);
        Ok(())
    }

    /// Carries out TUNDETACHFILTER. The caller holds the net's lock.
    pub(in crate::tun) fn detach_program(&self, interface: &InterfaceState) {
        self.take_programs(interface, interface.attached_queues());
        let has = |inode| {
            let tunnel = self.net.tunnel(inode);
            tunnel.is_ok_and(|tunnel| tunnel.filter.load(Relaxed) != 0)
        };
        if !interface.queue_inodes().any(has) {
            interface.filters.fetch_and(!BY_PROGRAM, Relaxed);
        }
    }

    /// Takes their programs away from the first `count` queues.
    fn take_programs(&self, interface: &InterfaceState, count: usize) {
        for inode in interface.queue_inodes().take(count) {
            if let Ok(tunnel) = self.net.tunnel(inode) {
                let number = tunnel.filter.swap(0, AcqRel);
                tunnel.filter_charge.store(0, Relaxed);
                self.net.remove_filter(number);
            }
        }
        interface.program_attached.store(0, Relaxed);
    }

    /// Carries out TUNGETFILTER.
    ///
    /// # Errors
    ///
    /// EFAULT when the argument is not writable.
    pub(in crate::tun) fn get_program(
        &self,
        interface: &InterfaceState,
        arg: &mut impl Argument,
    ) -> Result<(), Errno> {
        let words = interface.program_given.each_ref();
        let words = words.map(|word| word.load(Relaxed).to_ne_bytes());
        arg.store(words.as_flattened())
    }

    /// Gives this tunnel the program of the other queues, as the kernel does before it makes it a
    /// queue: the program is read again, from the memory of whoever attaches. None says that there
    /// is none to be given. Once the tunnel has the program the kernel believes that all is done,
    /// and does not make it a queue. The caller holds the net's lock.
    pub(in crate::tun) fn inherit_program(
        &self,
        interface: &InterfaceState,
        arg: &impl Argument,
    ) -> Option<Result<(), Errno>> {
        let attached = interface.program_attached.load(Relaxed) != 0;
        attached.then(|| {
            self.net
                .give(interface, &self.state, Given::of(interface), arg)
        })
    }

    /// Says that this tunnel is a queue of the interface from now on, with the program that it has.
    pub(in crate::tun) fn bring_program(&self, interface: &InterfaceState) {
        if self.state.filter.load(Relaxed) != 0 {
            interface.filters.fetch_or(BY_PROGRAM, Relaxed);
        }
    }

    /// Returns the flag of TUNGETIFF that says that the tunnel has no program.
    pub(in crate::tun) fn no_filter(&self) -> u32 {
        match self.state.filter.load(Acquire) {
            0 => IFF_NOFILTER,
            _ => 0,
        }
    }
}

impl NetDir {
    /// Reads a program and gives it to a tunnel, whose previous one goes. The caller holds the
    /// net's lock.
    fn give(
        &self,
        interface: &InterfaceState,
        tunnel: &TunnelState,
        given: Given,
        arg: &impl Argument,
    ) -> Result<(), Errno> {
        /// Bytes that are read at once.
        const STEP: usize = 64 * Instruction::SIZE;
        let invalid = Errno(libc::EINVAL);
        if given.at == 0 || !(1..=MOST).contains(&given.len) {
            return Err(invalid);
        }
        let (number, charge) = self.create_filter(|file| {
            let mut checker = Checker::new(given.len);
            let mut buffer = [0; STEP];
            let bytes = given.len * Instruction::SIZE;
            for begin in (0..bytes).step_by(STEP) {
                let some = &mut buffer[..STEP.min(bytes - begin)];
                arg.fetch_at(given.at.wrapping_add(begin), some)?;
                file.append(some)?;
                Instruction::each(some).for_each(|instruction| checker.next(instruction));
            }
            let charge = checker.end().ok_or(invalid)?.charge;
            // The program that is to be replaced is paid for until then.
            let both = charge.saturating_add(tunnel.filter_charge.load(Relaxed));
            match charge.max(both) < most_charged() {
                true => Ok(charge),
                false => Err(Errno(libc::ENOMEM)),
            }
        })?;
        let old = tunnel.filter.swap(number, AcqRel);
        tunnel.filter_charge.store(charge, Relaxed);
        interface.filters.fetch_or(BY_PROGRAM, Relaxed);
        self.remove_filter(old);
        Ok(())
    }
}

/// Returns how many bytes the programs of a socket may take: net.core.optmem_max, or what that is
/// in the kernel by itself where it cannot be read.
fn most_charged() -> u32 {
    const USUAL: u32 = 128 << 10;
    let mut text = [0; 16];
    let read = sys::open_internal(c"/proc/sys/net/core/optmem_max", libc::O_RDONLY, 0)
        .and_then(|file| sys::read(file.raw(), &mut text));
    let digits = read.ok().and_then(|n| std::str::from_utf8(&text[..n]).ok());
    digits
        .and_then(|digits| digits.trim_end().parse().ok())
        .unwrap_or(USUAL)
}
