//! How to get to a server: data connections and a proxy, and that the two go together.

use toml::Spanned;

use super::Reader;
use crate::config::{
    DataMode, Fault, PasswordSource, Proxy, ProxyKind,
    file::{ActiveTable, Field, ProxyTable, Table},
    value,
};

const PROXY_HINT: &str = "proxy = { socks5 = \"proxy.example.com:1080\" } or { http = \"proxy.example.com:3128\" }; with an account there, `user` and `password` too";

impl Reader<'_> {
    pub(super) fn connecting(
        &mut self,
        data: Field<String>,
        active: Field<Table<ActiveTable>>,
        proxy: Field<Table<ProxyTable>>,
    ) -> Option<(DataMode, Option<Proxy>)> {
        let proxy_at = proxy.as_ref().map(Spanned::span);
        let data = self.optional("data", data, DataMode::default(), |text| value::data(&text));
        let data = self.active(data, active);
        let proxy = match proxy {
            Some(proxy) => self.proxy(proxy).map(Some),
            None => Some(None),
        };
        if let (Some(DataMode::Active { .. }), Some(at)) = (&data, proxy_at) {
            let fault = Fault::new(&self.place(&at), "proxy: cannot go together with data = \"active\"");
            self.part.faults.push(fault.with_hint("the server cannot connect to us through a proxy; leave `data` out"));
            return None;
        }
        Some((data?, proxy?))
    }

    fn active(&mut self, data: Option<DataMode>, table: Field<Table<ActiveTable>>) -> Option<DataMode> {
        let Some(table) = table else { return data };
        let at = table.span();
        let ActiveTable { ports, address } = table.into_inner().0;
        let ports = self.optional("ports", ports, None, |text| value::ports(&text).map(Some));
        let address = self.optional("address", address, None, |text| value::address(&text).map(Some));
        match data? {
            DataMode::Active { .. } => Some(DataMode::Active { ports: ports?, address: address? }),
            _ => {
                let fault = Fault::new(&self.place(&at), "active: is for data = \"active\" alone");
                self.part.faults.push(fault.with_hint("set data = \"active\", or leave `active` out"));
                None
            }
        }
    }

    fn proxy(&mut self, table: Spanned<Table<ProxyTable>>) -> Option<Proxy> {
        let at = table.span();
        let ProxyTable { socks5, http, user, password } = table.into_inner().0;
        let (kind, key, place) = match (socks5, http) {
            (Some(place), None) => (ProxyKind::Socks5, "socks5", place),
            (None, Some(place)) => (ProxyKind::Http, "http", place),
            _ => {
                let fault = Fault::new(&self.place(&at), "proxy: expected exactly one of `socks5`, `http`");
                self.part.faults.push(fault.with_hint(PROXY_HINT));
                return None;
            }
        };
        let place = self.check(key, place, |text| value::place(&text));
        let user: Option<Option<(String, PasswordSource)>> = match (user, password) {
            (None, None) => Some(None),
            (Some(user), password @ Some(_)) => {
                let user = self.check("user", user, |text| value::proxy_user(text, kind));
                let password = self.password(password, &at);
                user.zip(password).map(Some)
            }
            _ => {
                let fault = Fault::new(&self.place(&at), "proxy: `user` and `password` go together");
                self.part.faults.push(fault.with_hint(PROXY_HINT));
                None
            }
        };
        let (host, port) = place?;
        Some(Proxy { kind, host, port, user: user? })
    }
}
