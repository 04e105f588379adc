//! The machine's time zone, for texts that name a time of day without one. It is read once.

use std::{fs, sync::OnceLock};

/// Its IANA name; UTC where it has none.
#[must_use]
pub(super) fn of_machine() -> &'static str {
    static ZONE: OnceLock<String> = OnceLock::new();
    ZONE.get_or_init(|| {
        let link = fs::read_link("/etc/localtime").unwrap_or_default();
        name(std::env::var("TZ").ok().as_deref(), &link.to_string_lossy())
    })
}

fn name(variable: Option<&str>, link: &str) -> String {
    let variable =
        variable.map(|name| name.trim_start_matches(':')).filter(|name| !name.is_empty());
    let name = variable.unwrap_or(link);
    // A path into the zone database contains the name behind its directory.
    let name = name.rsplit_once("zoneinfo/").map_or(name, |(_, name)| name);
    if name.is_empty() || name.starts_with(['/', '.']) { "UTC".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_wins_over_the_link_and_a_path_names_its_zone() {
        let link = "../usr/share/zoneinfo/Europe/Berlin";
        assert_eq!(name(None, link), "Europe/Berlin");
        assert_eq!(name(Some(""), link), "Europe/Berlin");
        assert_eq!(name(Some("Asia/Shanghai"), link), "Asia/Shanghai");
        assert_eq!(name(Some(":/usr/share/zoneinfo/America/New_York"), link), "America/New_York");
        assert_eq!(name(None, ""), "UTC");
        assert_eq!(name(None, "/etc/own-zone"), "UTC");
    }
}
