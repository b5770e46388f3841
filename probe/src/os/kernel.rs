//! The running kernel: its release and the configuration it was built with.

use std::{
    fs::File,
    io::{self, Read as _},
};

use flate2::read::GzDecoder;
use nix::sys::utsname::uname;

/// The configuration that a kernel was built with.
pub struct Config(String);

impl Config {
    /// The running kernel's, from /proc/config.gz (CONFIG_IKCONFIG_PROC) or the file next to its image in /boot.
    ///
    /// # Errors
    /// Neither file can be read.
    pub fn read() -> io::Result<Self> {
        let mut text = String::new();
        match File::open("/proc/config.gz") {
            Ok(file) => GzDecoder::new(file).read_to_string(&mut text)?,
            Err(_) => {
                let release = uname()?.release().to_string_lossy().into_owned();
                File::open(format!("/boot/config-{release}"))?.read_to_string(&mut text)?
            }
        };
        Ok(Self(text))
    }

    /// The value of an option by its full name: `m` for `CONFIG_TUN=m`, strings without their quotes; `None` where it is
    /// not set.
    #[must_use]
    pub fn value(&self, option: &str) -> Option<String> {
        let mut set = self.0.lines().filter_map(|line| line.split_once('='));
        let (_, value) = set.find(|(name, _)| *name == option)?;
        Some(value.trim_matches('"').to_owned())
    }
}

/// Whether the running kernel was built with an option, or has it as a module; `None` where its configuration cannot be
/// read.
#[must_use]
pub fn has_option(name: &str) -> Option<bool> {
    Config::read().ok().map(|config| config.value(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_by_its_full_name() {
        let config = Config(
            "# CONFIG_TCP_AO is not set\nCONFIG_TUN=m\nCONFIG_MPTCP=y\nCONFIG_HZ_250=y\nCONFIG_HZ=250\n\
             CONFIG_DEFAULT_TCP_CONG=\"cubic\"\n"
                .to_owned(),
        );
        assert_eq!(config.value("CONFIG_TUN").as_deref(), Some("m"));
        assert_eq!(config.value("CONFIG_HZ").as_deref(), Some("250"));
        assert_eq!(config.value("CONFIG_DEFAULT_TCP_CONG").as_deref(), Some("cubic"));
        assert_eq!(config.value("CONFIG_TCP_AO"), None);
        assert_eq!(config.value("CONFIG_MPTCP_IPV6"), None);
    }
}
