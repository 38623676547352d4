//! slapos.cookbook:free_port: a port that nobody listens on.
//!
//! The port of the last run is kept, unless it was 0; `minimum` equal to `maximum` is that port; else the first from
//! `minimum` (1024) to below `maximum` (49151) that can be bound on `ip`; 0 when there is none or `ip` is no address
//! (slapos/recipe/free_port.py). Nothing is installed.

use super::common::{self, Constructed};
use crate::{
    env::Address,
    profile::recipe::{NothingToInstall, Options, Recipe, RecipeError},
};
use std::{
    io,
    net::{IpAddr, SocketAddr},
};

/// Makes the recipe.
pub(super) fn construct(options: &dyn Options) -> Constructed<'_> {
    Box::pin(async move {
        let port = match options.previous().and_then(|previous| previous.get("port").cloned()) {
            Some(port) if port != "0" => port,
            _ => find(options)?.to_string(),
        };
        options.set("port", &port);
        Ok(Box::new(NothingToInstall) as Box<dyn Recipe>)
    })
}

fn bound(options: &dyn Options, option: &str, default: u16) -> Result<u16, RecipeError> {
    let Some(text) = common::given(options, option) else { return Ok(default) };
    text.trim()
        .parse()
        .map_err(|_| options.error(Some(option), format!("{option} = {text:?}: expected a port, 0 to 65535")))
}

fn find(options: &dyn Options) -> Result<u16, RecipeError> {
    let (minimum, maximum) = (bound(options, "minimum", 1024)?, bound(options, "maximum", 49151)?);
    if minimum == maximum {
        return Ok(minimum);
    }
    let Some(Ok(address)) = options.get("ip").map(|ip| ip.trim().parse::<IpAddr>()) else { return Ok(0) };
    for port in minimum..maximum {
        match options.env().network().listen(&Address::Tcp(SocketAddr::new(address, port))) {
            Ok(_) => return Ok(port),
            // No port of an address that the machine does not have can be bound.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => return Ok(0),
            Err(_) => {}
        }
    }
    Ok(0)
}
