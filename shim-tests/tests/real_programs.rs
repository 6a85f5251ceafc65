//! Runs real programs, as their packagers built them, on a tun device that needs no privileges.
//!
//! What this driver puts into one end must come out where it should: one packet, then a hundred of
//! growing size, whole and in order. `MEMTUN_ON=kernel unshare -Urn` runs the same on the kernel's
//! own driver.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output};
use std::time::Duration;

use shim_tests::real_programs::{
    free_tcp_port, free_udp_port, installed, Carries, Link, Path, Watchdog, World, SOON,
};

const LIMIT: Duration = Duration::from_secs(100);

fn output(mut command: Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    output
}

shim_tests::on_both_links! {
    socat_joins_two_tuns
    socat_joins_two_taps
    openvpn_with_a_static_key
    tinc_routes_between_two_daemons
    fastd_with_its_own_handshake
    quicktun_over_raw_udp
    vde_switch_between_two_plugs
    n2n_edges_through_a_supernode
    #[ignore = "openssh-server listens on port 22 once it is installed: not for everybody's machine"]
    ssh_forwards_a_tunnel
    boringtun_speaks_wireguard
}

fn check_ipv4_and_ipv6(path: &Path) {
    path.establish("10.9.0.1", "10.9.0.2");
    path.check("10.9.0.1", "10.9.0.2");
    path.establish("fd00:9::1", "fd00:9::2");
    path.check("fd00:9::1", "fd00:9::2");
}

fn socat_joins_two_tuns(link: Link) {
    let _watchdog = Watchdog::new("socat tun", LIMIT);
    socat("tun", Carries::Packets, link);
}

fn socat_joins_two_taps(link: Link) {
    let _watchdog = Watchdog::new("socat tap", LIMIT);
    socat("tap", Carries::Frames, link);
}

fn socat(kind: &str, carries: Carries, link: Link) {
    let world = World::new(&format!("socat-{kind}"), link);
    let names = [format!("sc{kind}0"), format!("sc{kind}1")];
    let ports = [free_udp_port(), free_udp_port()];
    let _programs = [0, 1].map(|i| {
        let mut socat = world.command("socat", "socat");
        socat.arg(format!(
            "TUN,tun-name={},tun-type={kind},iff-no-pi",
            names[i]
        ));
        socat.arg(format!(
            "UDP4-DATAGRAM:127.0.0.1:{},bind=127.0.0.1:{}",
            ports[1 - i],
            ports[i]
        ));
        world.start(socat)
    });
    let path = Path::new(world.end(&names[0]), world.end(&names[1]), carries);
    check_ipv4_and_ipv6(&path);
}

fn openvpn_with_a_static_key(link: Link) {
    let _watchdog = Watchdog::new("openvpn", LIMIT);
    let world = World::new("openvpn", link);
    let key = world.dir().join("static.key");
    let mut genkey = world.bystander("openvpn", "openvpn");
    genkey.args(["--genkey", "secret"]).arg(&key);
    output(genkey);

    let ports = [free_udp_port(), free_udp_port()].map(|port| port.to_string());
    let mut programs = ["ovpn0", "ovpn1"].map(|name| {
        let (here, there) = match name {
            "ovpn0" => (&ports[0], &ports[1]),
            _ => (&ports[1], &ports[0]),
        };
        let mut openvpn = world.command("openvpn", "openvpn");
        openvpn.args(["--dev", name, "--dev-type", "tun", "--ifconfig-noexec"]);
        openvpn.args(["--cipher", "AES-256-CBC"]);
        openvpn.arg("--secret").arg(&key);
        openvpn.args(["--proto", "udp4", "--local", "127.0.0.1", "--lport", here]);
        openvpn.args(["--remote", "127.0.0.1", there, "--verb", "3"]);
        world.start(openvpn)
    });
    let path = Path::new(world.end("ovpn0"), world.end("ovpn1"), Carries::Packets);
    check_ipv4_and_ipv6(&path);
    for program in &mut programs {
        program.wait_output("Initialization Sequence Completed", SOON);
    }
}

fn tinc_routes_between_two_daemons(link: Link) {
    let _watchdog = Watchdog::new("tinc", LIMIT);
    let world = World::new("tinc", link);
    let (names, ports) = (["alpha", "beta"], [free_udp_port(), free_udp_port()]);
    let hosts: Vec<String> = (0..2)
        .map(|i| tinc_keys(&world, names[i], i, ports[i]))
        .collect();
    let _programs = [0, 1].map(|i| {
        let (here, there) = (names[i], names[1 - i]);
        world.file(&format!("{here}/hosts/{there}"), &hosts[1 - i]);
        let mut tincd = world.command("tinc", "tincd");
        tincd.arg("-D").arg("-c").arg(world.dir().join(here));
        tincd.arg(format!(
            "--pidfile={}",
            world.dir().join(here).join("pid").display()
        ));
        let mut tincd = world.start(tincd);
        tincd.wait_output("Ready", SOON);
        tincd
    });
    let path = Path::new(
        world.end("tincalpha"),
        world.end("tincbeta"),
        Carries::Packets,
    );
    check_ipv4_and_ipv6(&path);
}

/// Writes the configuration of one daemon, and returns its host file with the public key.
fn tinc_keys(world: &World, name: &str, i: usize, port: u16) -> String {
    world.make_dir(name);
    world.make_dir(&format!("{name}/hosts"));
    // Only the second daemon connects, when the first one listens.
    let connect = if i == 0 { "" } else { "ConnectTo = alpha\n" };
    // With path MTU discovery, packets over the size that is found so far go by TCP and overtake
    // each other.
    let config = format!(
        "Name = {name}\nInterface = tinc{name}\nDevice = /dev/net/tun\n{connect}\
         AddressFamily = ipv4\nBindToAddress = 127.0.0.1 {port}\nPMTUDiscovery = no\nPingInterval = 3600\n"
    );
    world.file(&format!("{name}/tinc.conf"), &config);
    let mut keys = world.bystander("tinc", "tincd");
    keys.arg("-c").arg(world.dir().join(name)).arg("-K2048");
    output(keys);
    let host = world.dir().join(name).join("hosts").join(name);
    let key = std::fs::read_to_string(&host).expect("tincd -K writes the host file");
    let subnet = format!(
        "Subnet = 10.9.0.{n}/32\nSubnet = fd00:9::{n}/128\n",
        n = i + 1
    );
    let text = format!("Address = 127.0.0.1\nPort = {port}\n{subnet}PMTUDiscovery = no\n{key}");
    world.file(&format!("{name}/hosts/{name}"), &text);
    text
}

fn fastd_with_its_own_handshake(link: Link) {
    let _watchdog = Watchdog::new("fastd", LIMIT);
    let world = World::new("fastd", link);
    let keys = [0, 1].map(|_| {
        let mut genkey = world.bystander("fastd", "fastd");
        genkey.arg("--generate-key");
        let text = String::from_utf8(output(genkey).stdout).expect("keys are text");
        let key = |label: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(label));
            line.unwrap_or_else(|| panic!("no {label} in {text}"))
                .trim()
                .to_owned()
        };
        (key("Secret:"), key("Public:"))
    });
    let ports = [free_udp_port(), free_udp_port()];
    let _programs = [0, 1].map(|i| {
        let (secret, public) = (&keys[i].0, &keys[1 - i].1);
        // Only the second daemon connects, because a handshake that finds nobody is repeated only
        // 20 seconds later.
        let remote = match i {
            0 => String::new(),
            _ => format!("remote 127.0.0.1:{};", ports[0]),
        };
        let config = format!(
            "interface \"fastd{i}\";\nmode tun;\nmtu 1400;\nmethod \"salsa2012+umac\";\n\
             bind 127.0.0.1:{};\nsecret \"{secret}\";\nlog level verbose;\n\
             peer \"other\" {{ key \"{public}\"; {remote} }}\n",
            ports[i]
        );
        let mut fastd = world.command("fastd", "fastd");
        fastd
            .arg("-c")
            .arg(world.file(&format!("fastd{i}.conf"), &config));
        let mut fastd = world.start(fastd);
        fastd.wait_output("bound to", SOON);
        fastd
    });
    let path = Path::new(world.end("fastd0"), world.end("fastd1"), Carries::Packets);
    check_ipv4_and_ipv6(&path);
}

fn quicktun_over_raw_udp(link: Link) {
    let _watchdog = Watchdog::new("quicktun", LIMIT);
    let world = World::new("quicktun", link);
    let ports = [free_udp_port(), free_udp_port()];
    let _programs = [0, 1].map(|i| {
        let mut quicktun = world.command("quicktun", "quicktun");
        // These are the variables with which Debian's ifupdown starts it.
        quicktun
            .env("IFACE", format!("quick{i}"))
            .env("IF_QT_TUN_MODE", "1")
            .env("IF_QT_PROTOCOL", "raw")
            .env("IF_QT_LOCAL_ADDRESS", "127.0.0.1")
            .env("IF_QT_LOCAL_PORT", ports[i].to_string())
            .env("IF_QT_REMOTE_ADDRESS", "127.0.0.1")
            .env("IF_QT_REMOTE_PORT", ports[1 - i].to_string());
        world.start(quicktun)
    });
    let path = Path::new(world.end("quick0"), world.end("quick1"), Carries::Packets);
    check_ipv4_and_ipv6(&path);
}

fn vde_switch_between_two_plugs(link: Link) {
    let _watchdog = Watchdog::new("vde", LIMIT);
    let world = World::new("vde", link);
    let sockets = world.dir().join("switch");
    let mut switch = world.command("vde2", "vde_switch");
    switch.arg("-s").arg(&sockets);
    let _switch = world.start(switch);
    let end = std::time::Instant::now() + SOON;
    while !sockets.join("ctl").exists() && std::time::Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _plugs = ["vde0", "vde1"].map(|name| {
        let mut plug = world.command("vde2", "vde_plug2tap");
        plug.arg("-s").arg(&sockets).arg(name);
        world.start(plug)
    });
    let path = Path::new(world.end("vde0"), world.end("vde1"), Carries::Frames);
    check_ipv4_and_ipv6(&path);
}

fn n2n_edges_through_a_supernode(link: Link) {
    let _watchdog = Watchdog::new("n2n", LIMIT);
    let world = World::new("n2n", link);
    let port = free_udp_port();
    let mut supernode = world.command("n2n", "supernode");
    supernode.args(["-l", &port.to_string()]);
    let _supernode = world.start(supernode);
    // The program runs /sbin/ifconfig in a shell, and reads back the hardware address that this
    // child has set.
    let mut edges = [1, 2].map(|n| {
        let mut edge = world.command("n2n net-tools", "edge");
        edge.args(["-d", &format!("edge{n}"), "-a", &format!("10.9.0.{n}")]);
        edge.args([
            "-m",
            &format!("02:00:00:00:00:0{n}"),
            "-c",
            "community",
            "-k",
            "secret",
        ]);
        edge.args(["-l", &format!("127.0.0.1:{port}"), "-r", "-v"]);
        world.start(edge)
    });
    for edge in &mut edges {
        edge.wait_output("Registering with supernode", SOON);
    }
    let path = Path::new(world.end("edge1"), world.end("edge2"), Carries::Frames);
    check_ipv4_and_ipv6(&path);
}

fn ssh_forwards_a_tunnel(link: Link) {
    let _watchdog = Watchdog::new("ssh", LIMIT);
    let world = World::new("ssh", link);
    if world.is_kernel() {
        // In a user namespace with one user root cannot call setgroups(), which sshd insists on.
        return;
    }
    let whoami = output(world.bystander("coreutils", "whoami")).stdout;
    let user = String::from_utf8(whoami)
        .expect("a user's name")
        .trim()
        .to_owned();
    for name in ["host", "user"] {
        let mut keygen = world.bystander("openssh-client", "ssh-keygen");
        keygen
            .args(["-q", "-t", "ed25519", "-N", "", "-f"])
            .arg(world.dir().join(name));
        output(keygen);
    }
    let port = free_tcp_port();
    let dir = world.dir().display();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {dir}/host\nAuthorizedKeysFile {dir}/user.pub\n\
         StrictModes no\nUsePAM yes\nPermitTunnel yes\nPidFile none\n"
    );
    let mut sshd = world.command("openssh-server", "sshd");
    sshd.args(["-D", "-e", "-f"])
        .arg(world.file("sshd_config", &config));
    let mut sshd = world.start(sshd);
    sshd.wait_output("Server listening", SOON);

    let mut ssh = world.command("openssh-client", "ssh");
    ssh.args([
        "-N",
        "-F",
        "none",
        "-w",
        "20:21",
        "-o",
        "StrictHostKeyChecking=no",
    ]);
    ssh.args([
        "-o",
        "UserKnownHostsFile=known",
        "-o",
        "BatchMode=yes",
        "-i",
        "user",
    ]);
    ssh.arg("-p")
        .arg(port.to_string())
        .arg(format!("{user}@127.0.0.1"));
    let _ssh = world.start(ssh);
    let path = Path::new(world.end("tun20"), world.end("tun21"), Carries::Packets);
    check_ipv4_and_ipv6(&path);
}

fn boringtun_speaks_wireguard(link: Link) {
    let _watchdog = Watchdog::new("boringtun", Duration::from_secs(600));
    let world = World::new("boringtun", link);
    let boringtun = world.copy(&installed::of_crate("boringtun-cli", "0.7.1"));
    let keys = [wireguard_keys(&world), wireguard_keys(&world)];
    let ports = [free_udp_port(), free_udp_port()];
    let _programs = [0, 1].map(|i| {
        // An ordinary user has no /var/run/wireguard, so the daemon gets a connected socket
        // instead.
        let (ours, theirs) = UnixStream::pair().expect("a socket pair");
        let fd = theirs.as_raw_fd();
        let mut daemon = world.command("boringtun-cli (crates.io)", &boringtun);
        daemon.args([
            "--foreground",
            "--disable-drop-privileges",
            "--verbosity",
            "debug",
        ]);
        daemon
            .arg("--uapi-fd")
            .arg(fd.to_string())
            .arg(format!("wg{i}"));
        // SAFETY: fcntl on an open descriptor is async-signal-safe and touches no memory.
        unsafe {
            daemon.pre_exec(move || match libc::fcntl(fd, libc::F_SETFD, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let program = world.start(daemon);
        let n = 2 - i;
        let settings = format!(
            "set=1\nprivate_key={}\nlisten_port={}\npublic_key={}\nendpoint=127.0.0.1:{}\n\
             allowed_ip=10.9.0.{n}/32\nallowed_ip=fd00:9::{n}/128\n\n",
            keys[i].0,
            ports[i],
            keys[1 - i].1,
            ports[1 - i]
        );
        wireguard_set(&ours, &settings);
        // The daemon ends when its socket is closed.
        (program, ours)
    });
    let path = Path::new(world.end("wg0"), world.end("wg1"), Carries::Packets);
    check_ipv4_and_ipv6(&path);
}

fn wireguard_set(mut uapi: &UnixStream, settings: &str) {
    use std::io::{Read, Write};
    uapi.set_read_timeout(Some(SOON)).expect("a timeout");
    uapi.write_all(settings.as_bytes())
        .expect("room in a socket");
    let mut reply = [0; 64];
    let len = uapi.read(&mut reply).expect("an answer over UAPI");
    assert_eq!(String::from_utf8_lossy(&reply[..len]), "errno=0\n\n");
}

/// Private and public key in hexadecimal, as the UAPI takes them.
fn wireguard_keys(world: &World) -> (String, String) {
    let pem = world.file("key.pem", "");
    let mut genkey = world.bystander("openssl", "openssl");
    genkey
        .args(["genpkey", "-algorithm", "X25519", "-out"])
        .arg(&pem);
    output(genkey);
    let raw = |args: &[&str]| {
        let mut pkey = world.bystander("openssl", "openssl");
        pkey.args(["pkey", "-outform", "DER", "-in"])
            .arg(&pem)
            .args(args);
        // Both DER forms end with the 32 bytes of the key.
        let der = output(pkey).stdout;
        der[der.len() - 32..]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    (raw(&[]), raw(&["-pubout"]))
}
