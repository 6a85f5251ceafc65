//! Makes an interface with each crate, has the crate give it addresses, and prints what the crate
//! reads back. It ends with its standard input.

use std::error::Error;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};

use tun::AbstractDevice;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn with_tun() -> Result<tun::Device> {
    let mut settings = tun::Configuration::default();
    let settings = settings.tun_name("ctun").mtu(1400).up();
    settings.address((10, 30, 0, 1)).netmask((255, 255, 255, 0));
    settings.destination((10, 30, 0, 2));
    let mut tun = tun::create(settings)?;
    let of = |tun: &tun::Device| -> Result<_> {
        Ok((tun.tun_name()?, tun.address()?, tun.netmask()?, tun.destination()?, tun.mtu()?))
    };
    println!("tun: {:?}", of(&tun)?);
    tun.set_address(IpAddr::V4(Ipv4Addr::new(10, 30, 1, 1)))?;
    tun.set_netmask(IpAddr::V4(Ipv4Addr::new(255, 255, 0, 0)))?;
    println!("tun: {:?} {:?}", of(&tun)?, tun.broadcast()?);
    tun.enabled(false)?;
    tun.enabled(true)?;
    Ok(tun)
}

fn with_tun_rs() -> Result<tun_rs::SyncDevice> {
    let builder = tun_rs::DeviceBuilder::new().name("crs").mtu(1400);
    let device = builder.ipv4("10.31.0.1", 24, None).ipv6("fd00:31::1", 64).build_sync()?;
    device.add_address_v4("10.31.1.1", 25)?;
    device.add_address_v6("fd00:31:1::1", 96)?;
    let show = |device: &tun_rs::SyncDevice| -> Result<()> {
        let mut addresses = device.addresses()?;
        addresses.retain(|address| !address.to_string().starts_with("fe80"));
        addresses.sort();
        let named = (device.name()?, device.if_index().is_ok(), device.is_running()?);
        println!("tun-rs: {named:?} {addresses:?} {} {}", device.mtu()?, device.tx_queue_len()?);
        Ok(())
    };
    show(&device)?;
    device.remove_address("10.31.1.1".parse()?)?;
    device.remove_address("fd00:31:1::1".parse()?)?;
    device.set_mtu(1300)?;
    show(&device)?;
    device.set_network_address("10.31.2.1", 16, None)?;
    device.set_name("crs1")?;
    show(&device)?;
    Ok(device)
}

fn with_tokio_tun() -> Result<tokio_tun::Tun> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    let builder = tokio_tun::Tun::builder().name("ctok").mtu(1350);
    let builder = builder.address(Ipv4Addr::new(10, 32, 0, 1)).netmask(Ipv4Addr::new(255, 255, 255, 0));
    let builder = builder.destination(Ipv4Addr::new(10, 32, 0, 2)).up();
    let tun = builder.build()?.pop().ok_or("no queue")?;
    let addresses = (tun.address()?, tun.destination()?, tun.netmask()?, tun.broadcast()?);
    println!("tokio-tun: {} {addresses:?} {} {:#x}", tun.name(), tun.mtu()?, tun.flags()?);
    // The runtime goes on until the program ends.
    std::mem::forget(runtime);
    Ok(tun)
}

fn with_tappers() -> Result<tappers::Tun> {
    let mut tun = tappers::Tun::new_named(tappers::Interface::new("ctap")?)?;
    let mut address = tappers::AddAddressV4::new(Ipv4Addr::new(10, 33, 0, 1));
    address.set_netmask(tappers::Netmask::from(24));
    tun.add_addr(address)?;
    tun.add_addr(IpAddr::from([10, 33, 1, 1]))?;
    tun.add_addr("fd00:33::1".parse::<IpAddr>()?)?;
    tun.set_up()?;
    for address in tun.addrs()? {
        if !address.address().to_string().starts_with("fe80") {
            println!("tappers: {address:?}");
        }
    }
    tun.remove_addr(IpAddr::from([10, 33, 1, 1]))?;
    println!("tappers: {:?} {}", tun.name()?.name(), tun.mtu()?);
    Ok(tun)
}

fn main() -> Result<()> {
    let _tun = with_tun()?;
    let _tun_rs = with_tun_rs()?;
    let _tokio_tun = with_tokio_tun()?;
    let _tappers = with_tappers()?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
