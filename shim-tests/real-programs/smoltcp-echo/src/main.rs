//! `smoltcp-echo INTERFACE ADDRESS/LEN...` runs smoltcp's own TUN interface with a UDP echo service
//! on port 7, and with smoltcp's automatic answers to pings.

use std::os::fd::AsRawFd;

use smoltcp::iface::{Config, Interface, SocketSet};
use smoltcp::phy::{wait, Medium, TunTapInterface};
use smoltcp::socket::udp;
use smoltcp::time::Instant;
use smoltcp::wire::HardwareAddress;

fn main() {
    let mut args = std::env::args().skip(1);
    let name = args.next().expect("the interface's name");
    let mut device = TunTapInterface::new(&name, Medium::Ip).expect("the tun interface");
    let fd = device.as_raw_fd();

    let mut iface = Interface::new(
        Config::new(HardwareAddress::Ip),
        &mut device,
        Instant::now(),
    );
    iface.update_ip_addrs(|addresses| {
        for arg in args {
            let address = arg.parse().expect("ADDRESS/LEN");
            addresses.push(address).expect("room for an address");
        }
    });

    let buffer = || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; 64], vec![0; 65536]);
    let mut echo = udp::Socket::new(buffer(), buffer());
    echo.bind(7).expect("port 7");
    let mut sockets = SocketSet::new(vec![]);
    let echo = sockets.add(echo);

    loop {
        let now = Instant::now();
        iface.poll(now, &mut device, &mut sockets);
        let socket = sockets.get_mut::<udp::Socket>(echo);
        let mut answered = false;
        while socket.can_recv() && socket.can_send() {
            let (data, from) = socket.recv().expect("it can receive");
            let data = data.to_vec();
            socket.send_slice(&data, from).expect("it can send");
            answered = true;
        }
        if !answered {
            let delay = iface.poll_delay(now, &sockets);
            wait(fd, delay).expect("select on the tun interface");
        }
    }
}
