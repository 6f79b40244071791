//! The names of devices. Only a program with the feature `cuda` has more than one.

use super::Precision;
use clap::Args;
#[cfg(feature = "cuda")]
use serde::{Deserialize, Serialize};
use std::fmt;

/// What to compute on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cuda", derive(Serialize, Deserialize), serde(try_from = "String", into = "String"))]
pub enum DeviceName {
    /// The processor.
    #[default]
    Cpu,
    /// A GPU, by its number.
    #[cfg(feature = "cuda")]
    Cuda(usize),
    /// The first GPU, or the processor where there is none.
    #[cfg(feature = "cuda")]
    Auto,
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceName::Cpu => write!(f, "cpu"),
            #[cfg(feature = "cuda")]
            DeviceName::Cuda(number) => write!(f, "cuda:{number}"),
            #[cfg(feature = "cuda")]
            DeviceName::Auto => write!(f, "auto"),
        }
    }
}

/// Where a command that has no settings computes.
#[derive(Args, Clone, Copy, Debug)]
pub struct DeviceArgs {
    /// What to compute on: cpu, cuda (the first GPU), cuda:N, or auto (the first GPU, where there is one).
    #[cfg(feature = "cuda")]
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: DeviceName,
    /// What matrix products are computed in.
    #[arg(long, value_enum, default_value_t = Precision::F32)]
    pub precision: Precision,
}

impl DeviceArgs {
    /// The device.
    pub fn device(&self) -> DeviceName {
        #[cfg(feature = "cuda")]
        return self.device;
        #[cfg(not(feature = "cuda"))]
        DeviceName::Cpu
    }
}

#[cfg(feature = "cuda")]
mod names {
    use super::DeviceName;
    use std::str::FromStr;

    impl FromStr for DeviceName {
        type Err = String;

        fn from_str(name: &str) -> Result<DeviceName, String> {
            let number =
                |digits: &str| digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
            match name {
                "cpu" => Ok(DeviceName::Cpu),
                "auto" => Ok(DeviceName::Auto),
                "cuda" => Ok(DeviceName::Cuda(0)),
                _ => name.strip_prefix("cuda:").and_then(number).map(DeviceName::Cuda).ok_or_else(|| {
                    format!("`{name}` is no device: use cpu, cuda, cuda:N or auto; `ferrotune devices` lists them")
                }),
            }
        }
    }

    impl TryFrom<String> for DeviceName {
        type Error = String;

        fn try_from(name: String) -> Result<DeviceName, String> {
            name.parse()
        }
    }

    impl From<DeviceName> for String {
        fn from(name: DeviceName) -> String {
            name.to_string()
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn names_are_read_and_written() {
            for name in ["cpu", "auto", "cuda:0", "cuda:12"] {
                assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
            }
            assert_eq!("cuda".parse(), Ok(DeviceName::Cuda(0)));
            for name in ["gpu", "cuda:", "cuda:+1", "cuda:-1", "cuda:x", "cuda1", "CUDA", ""] {
                assert!(name.parse::<DeviceName>().unwrap_err().contains("`ferrotune devices`"), "{name}");
            }
        }
    }
}
