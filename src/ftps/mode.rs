//! How connections come about, as the operator chose it; what was learnt about a server is in `profile`.

use std::{net::IpAddr, ops::RangeInclusive};

use super::profile::Passive;

/// How data connections come about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DataMode {
    /// We connect, to a port that EPSV tells; by PASV where that fails.
    #[default]
    Passive,
    /// We connect, by EPSV alone.
    Epsv,
    /// We connect, by PASV alone; there is none on an IPv6 control connection.
    Pasv,
    /// The server connects (PORT, EPRT).
    Active(Active),
}

/// Where the server connects to in active mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// The ports to listen on; `0..=0` is any.
    pub ports: RangeInclusive<u16>,
    /// The address to announce, where it is of the control connection's family; otherwise this end of the control
    /// connection is.
    pub address: Option<IpAddr>,
}

impl Default for Active {
    fn default() -> Self {
        Self { ports: 0..=0, address: None }
    }
}

impl DataMode {
    /// The commands to ask for a port with, in order; none in active mode, or where there is no way. PASV knows no IPv6, and
    /// is never asked for on an IPv6 control connection.
    pub(super) fn passive(&self, remembered: Passive, ipv6: bool) -> &'static [Passive] {
        match self {
            Self::Passive if !ipv6 && remembered == Passive::Pasv => &[Passive::Pasv, Passive::Epsv],
            Self::Passive if !ipv6 => &[Passive::Epsv, Passive::Pasv],
            Self::Passive | Self::Epsv => &[Passive::Epsv],
            Self::Pasv if !ipv6 => &[Passive::Pasv],
            Self::Pasv | Self::Active(_) => &[],
        }
    }
}

impl Active {
    /// The ports to try: `random` says where in the range to start.
    pub(super) fn candidates(&self, random: u16) -> impl Iterator<Item = u16> + use<> {
        let (low, high) = (u32::from(*self.ports.start()), u32::from(*self.ports.end()));
        let count = (high + 1).saturating_sub(low);
        // All are below 65,536 again.
        (0..count).filter_map(move |n| u16::try_from(low + (u32::from(random) + n) % count).ok())
    }

    /// What the server is told, where this end of the control connection is `local`.
    pub(super) fn announced(&self, local: IpAddr) -> IpAddr {
        self.address.filter(|address| address.is_ipv4() == local.is_ipv4()).unwrap_or(local)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pasv_is_never_asked_for_over_ipv6() {
        use Passive::{Epsv, Pasv};
        let active = DataMode::Active(Active::default());
        for (mode, remembered, over_v4, over_v6) in [
            (DataMode::Passive, Epsv, &[Epsv, Pasv][..], &[Epsv][..]),
            (DataMode::Passive, Pasv, &[Pasv, Epsv], &[Epsv]),
            (DataMode::Epsv, Pasv, &[Epsv], &[Epsv]),
            (DataMode::Pasv, Epsv, &[Pasv], &[]),
            (active, Epsv, &[], &[]),
        ] {
            assert_eq!((mode.passive(remembered, false), mode.passive(remembered, true)), (over_v4, over_v6), "{mode:?}");
        }
    }

    #[test]
    fn an_address_of_the_other_family_is_not_announced() {
        let [v4, v6, local]: [IpAddr; 3] =
            ["203.0.113.7", "2001:db8::7", "10.0.0.2"].map(|text| text.parse().expect("an address"));
        let announced = |address| Active { address, ..Active::default() }.announced(local);
        assert_eq!((announced(Some(v4)), announced(Some(v6)), announced(None)), (v4, local, local));
    }

    #[test]
    fn any_port_is_port_0() {
        assert_eq!(Active::default().candidates(7).collect::<Vec<_>>(), [0]);
    }

    proptest! {
        #[test]
        fn each_port_of_the_range_is_tried_once(low in 0u16.., length in 0u16..300, random in any::<u16>()) {
            let ports = low..=low.saturating_add(length);
            let active = Active { ports: ports.clone(), address: None };
            let mut tried: Vec<_> = active.candidates(random).collect();
            prop_assert!(tried.windows(2).all(|pair| pair[1] == pair[0].wrapping_add(1) || (pair[0], pair[1]) == (*ports.end(), low)));
            tried.sort_unstable();
            prop_assert_eq!(tried, ports.collect::<Vec<_>>());
        }
    }
}
