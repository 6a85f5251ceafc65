//! Makes memtun's table of requests for C, which the conformance program that walks it includes.

use std::fmt::Write as _;

use memtun_abi::request::{Answer, Argument, Named, Need, On, Request, REQUESTS};

const TYPES: &str = "\
/* Made from memtun's table of requests: see src/abi/src/request. */
enum on { ON_ANY, ON_TUNNEL, ON_ATTACHED, ON_TAP, ON_SOCKET, ON_INET, ON_INET6 };
enum argument { UNUSED, VALUE, IN, OUT, INOUT };
enum named { NOWHERE, OWN, NAME, NAME_BEHIND, INDEX };
enum answer { EXACT, APPROXIMATE, REFUSED, ABSENT, HOST, STACK };
static const struct request {
    const char *name;
    unsigned number, count;
    enum on on;
    int net_admin;
    enum argument argument;
    unsigned size;
    enum named named;
    unsigned at;
    enum answer answer;
    int error;
} requests[] = {
";

fn row(r: &Request) -> String {
    let on = match r.on {
        On::Any => "ON_ANY",
        On::Tunnel => "ON_TUNNEL",
        On::Attached => "ON_ATTACHED",
        On::Tap => "ON_TAP",
        On::Socket => "ON_SOCKET",
        On::Inet => "ON_INET",
        On::Inet6 => "ON_INET6",
    };
    let (argument, size) = match r.argument {
        Argument::Unused => ("UNUSED", 0),
        Argument::Value => ("VALUE", 0),
        Argument::In(t) => ("IN", t.size),
        Argument::Out(t) => ("OUT", t.size),
        Argument::InOut(t) => ("INOUT", t.size),
    };
    let (named, at) = match r.interface {
        Named::Nowhere => ("NOWHERE", 0),
        Named::Own => ("OWN", 0),
        Named::Name(at) => ("NAME", at),
        Named::NameBehind(at) => ("NAME_BEHIND", at),
        Named::Index(at) => ("INDEX", at),
    };
    let (answer, error) = match r.answer {
        Answer::Exact => ("EXACT", 0),
        Answer::Stack => ("STACK", 0),
        Answer::Approximate(_) => ("APPROXIMATE", 0),
        Answer::Refused(error, _) => ("REFUSED", error),
        Answer::Absent(error, _) => ("ABSENT", error),
        Answer::Host(_) => ("HOST", 0),
    };
    format!(
        "    {{ \"{}\", {:#x}u, {}, {on}, {}, {argument}, {size}, {named}, {at}, {answer}, {error} }},\n",
        r.name,
        r.number,
        r.count,
        (r.need == Need::NetAdmin) as i32,
    )
}

/// The table as an array in C.
pub fn header() -> String {
    let mut text = TYPES.to_owned();
    text.extend(REQUESTS.iter().map(row));
    text + "};\n"
}

#[rustfmt::skip]
const INCLUDES: &[&str] = &[
    "stdio.h", "stddef.h", "sys/types.h", "sys/time.h", "time.h", "sys/ioctl.h", "net/if.h", "net/if_arp.h",
    "net/route.h", "netinet/in.h", "linux/if_tun.h", "linux/sockios.h", "linux/fs.h", "linux/fiemap.h",
    "linux/filter.h", "linux/if_vlan.h", "linux/ipv6.h", "linux/wireless.h",
];

/// The member of each struct that names an interface.
const MEMBERS: &[(&str, &str)] = &[
    ("struct ifreq", "ifr_name"),
    ("struct rtentry", "rt_dev"),
    ("struct in6_rtmsg", "rtmsg_ifindex"),
    ("struct in6_ifreq", "ifr6_ifindex"),
    ("struct arpreq", "arp_dev"),
    ("struct iwreq", "ifr_name"),
];

/// What the table says of a row's number, of its argument's type, and of the interface in it, as
/// pairs of an expression in C and its value.
fn facts(row: &Request) -> Vec<(String, usize)> {
    let mut facts = vec![(format!("(unsigned){}", row.name), row.number as usize)];
    let (Argument::In(t) | Argument::Out(t) | Argument::InOut(t)) = row.argument else {
        return facts;
    };
    facts.push((format!("sizeof({})", t.c), t.size));
    let (Named::Name(at) | Named::NameBehind(at) | Named::Index(at)) = row.interface else {
        return facts;
    };
    let member = match row.name.as_str() {
        "SIOCGIFNAME" => "ifr_ifindex",
        _ => {
            MEMBERS
                .iter()
                .find(|(c, _)| **c == *t.c)
                .expect("a member")
                .1
        }
    };
    facts.push((format!("offsetof({}, {member})", t.c), at));
    facts
}

/// A C program that prints what the headers say of each row, one value per line.
pub fn program_of_macros() -> String {
    let mut text = String::new();
    for include in INCLUDES {
        let _ = writeln!(text, "#include <{include}>");
    }
    text += "int main(void) {\n";
    for (expression, _) in REQUESTS.iter().flat_map(facts) {
        let _ = writeln!(
            text,
            "printf(\"{expression} %#zx\\n\", (size_t)({expression}));"
        );
    }
    text + "return 0; }\n"
}

/// What that program prints when the table is right.
pub fn expected_macros() -> String {
    let mut text = String::new();
    for (expression, value) in REQUESTS.iter().flat_map(facts) {
        let value = match value {
            0 => "0".into(),
            value => format!("{value:#x}"),
        };
        let _ = writeln!(text, "{expression} {value}");
    }
    text
}
