//! What is known of a container before it has ever run: from a Dockerfile or from a compose file.

use crate::init::healthcheck::Healthcheck;
use crate::text::display;

/// A port that a container listens on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Port {
    pub(super) number: u16,
    pub(super) is_udp: bool,
}

impl Port {
    /// Reads `8080`, `53/udp`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let number = number.parse().ok().filter(|number| *number > 0)?;
        match protocol.to_ascii_lowercase().as_str() {
            "tcp" => Some(Self { number, is_udp: false }),
            "udp" => Some(Self { number, is_udp: true }),
            _ => None,
        }
    }

    /// Reads `8080`, `8000-8010/tcp`; `None` for what is none, and for more ports than a person would write.
    pub(super) fn parse_range(text: &str) -> Option<Vec<Self>> {
        let Some((first, rest)) = text.split_once('-') else { return Self::parse(text).map(|one| vec![one]) };
        let first = first.parse::<u16>().ok().filter(|number| *number > 0)?;
        let last = Self::parse(rest)?;
        let is_short =
            (1..=MOST_PORTS).contains(&(u32::from(last.number) + 1).checked_sub(u32::from(first))?);
        is_short.then(|| (first..=last.number).map(|number| Self { number, ..last }).collect())
    }
}

/// So many ports may one range have.
const MOST_PORTS: u32 = 20;

/// So much of a command is shown.
const LONGEST_COMMAND: usize = 40;

/// What a container is known to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) ports: Vec<Port>,
    pub(super) healthcheck: Option<Healthcheck>,
    /// Directories whose content outlives the container.
    pub(super) volumes: Vec<String>,
    /// As written: `1000`, `app`, `1000:1000`; `None` where nothing says it.
    pub(super) user: Option<String>,
    /// What it runs, where that is written down.
    pub(super) command: Option<String>,
    /// What is written down and cannot be known here: `EXPOSE $PORT`.
    pub(super) unknown: Vec<String>,
}

impl Container {
    /// With the port that its health check asks, which it must listen on.
    #[must_use]
    pub(super) fn with_port_of_check(mut self) -> Self {
        let port = self.healthcheck.as_ref().and_then(Healthcheck::port);
        if let Some(number) = port.filter(|number| !self.ports.iter().any(|port| port.number == *number)) {
            self.ports.push(Port { number, is_udp: false });
        }
        self
    }

    /// The number of its user, if it is written as one and is not root's.
    pub(super) fn user_id(&self) -> Option<i64> {
        let user = self.user.as_deref()?;
        user.split(':').next()?.parse().ok().filter(|id| *id > 0)
    }

    /// The number of its group, where that is written.
    pub(super) fn group_id(&self) -> Option<i64> {
        self.user.as_deref()?.split_once(':')?.1.parse().ok()
    }

    /// The first port that takes TCP connections.
    pub(super) fn tcp(&self) -> Option<&Port> {
        self.ports.iter().find(|port| !port.is_udp)
    }

    /// In a few words: `port 8080, HEALTHCHECK GET /health, user 1000`.
    pub(super) fn describe(&self) -> String {
        let ports: Vec<String> = self.ports.iter().map(|port| port.number.to_string()).collect();
        let mut words = vec![match ports.len() {
            0 => "no port".to_owned(),
            1 => format!("port {}", ports[0]),
            _ => format!("ports {}", ports.join(", ")),
        }];
        words.extend(self.healthcheck.as_ref().map(|check| format!("health check {}", check.describe())));
        words.extend(self.volumes.iter().map(|volume| format!("volume {volume}")));
        words.extend(self.user.as_ref().map(|user| format!("user {user}")));
        words.extend(
            self.command.as_ref().map(|command| {
                format!("runs `{}`", display::clip(&display::plain(command), LONGEST_COMMAND))
            }),
        );
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_with_a_protocol_and_short_ranges_of_them() {
        let numbers = |text| {
            Port::parse_range(text).map(|ports| ports.iter().map(|port| port.number).collect::<Vec<_>>())
        };
        assert_eq!(numbers("8080"), Some(vec![8080]));
        assert_eq!(numbers("8000-8002/tcp"), Some(vec![8000, 8001, 8002]));
        assert!(Port::parse_range("53/UDP").unwrap()[0].is_udp);
        for wrong in ["0", "70000", "8080/sctp", "9-8", "1-65535", "0-3", "-", "a-b", ""] {
            assert_eq!(numbers(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_user_is_known_by_number_only() {
        let ids = |user: &str| {
            let container = Container { user: Some(user.to_owned()), ..Container::default() };
            (container.user_id(), container.group_id())
        };
        assert_eq!(ids("1000"), (Some(1000), None));
        assert_eq!(ids("1000:2000"), (Some(1000), Some(2000)));
        assert_eq!(ids("app:app"), (None, None));
        assert_eq!(ids("0"), (None, None), "root");
    }
}
