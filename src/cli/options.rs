//! The options of a resize as flags. The flags follow from the table of options that the imaging
//! library has; nothing here names an option.

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::usage::Usage;
use crate::imaging::{OPTIONS, OptionSpec};
use crate::operation::FieldError;

/// The options that were given, in the order of the table. They stay text here: the library reads
/// and checks them.
#[derive(Debug)]
pub(super) struct Options {
    given: Vec<(&'static str, String)>,
}

impl Options {
    /// What was given, in the text form of a request.
    pub(super) fn pairs(&self) -> Vec<(&'static str, &str)> {
        let given = self.given.iter();
        given.map(|(key, value)| (*key, value.as_str())).collect()
    }

    /// Whether an option was given, by its key.
    pub(super) fn has(&self, key: &str) -> bool {
        debug_assert!(OPTIONS.iter().any(|option| option.key == key), "{key}");
        self.given.iter().any(|(given, _)| *given == key)
    }
}

impl Args for Options {
    fn augment_args(command: Command) -> Command {
        command.args(OPTIONS.iter().map(flag))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Options {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let value = |option: &OptionSpec| {
            let value = matches.get_one::<String>(option.key)?;
            Some((option.key, value.clone()))
        };
        let given = OPTIONS.iter().filter_map(value).collect();
        Ok(Self { given })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flag of an option. It does not tell the default: `replay shadow` has the same flags, and
/// there an option that is not given stays as it was requested.
fn flag(option: &OptionSpec) -> Arg {
    let values = option.values.describe(str::to_owned);
    let help = option.help.replace('`', "");
    Arg::new(option.key)
        .long(flag_name(option.key))
        .value_name(option.value_name)
        .help(format!("{help} [values: {values}]"))
        .allow_negative_numbers(true)
}

fn flag_name(key: &str) -> String {
    key.replace('_', "-")
}

/// Options that can't be read, told by the flags that gave them.
// The signature is what `map_err` asks for.
#[expect(clippy::needless_pass_by_value)]
pub(super) fn wrong_flags(errors: Vec<FieldError>) -> Usage {
    let lines: Vec<_> = errors
        .iter()
        .map(|error| format!("--{}: {}", flag_name(&error.field), error.message))
        .collect();
    Usage(lines.join("\n           "))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;
    use crate::operation::ResizeOptions;

    fn command() -> Command {
        Options::augment_args(Command::new("resize"))
    }

    fn read(arguments: &[&str]) -> Options {
        let arguments = ["resize"].iter().chain(arguments);
        let matches = command().try_get_matches_from(arguments).unwrap();
        Options::from_arg_matches(&matches).unwrap()
    }

    #[test]
    fn no_flag_clashes_with_another_of_its_command() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_option_has_a_flag_that_gives_this_option() {
        for option in OPTIONS {
            let flag = format!("--{}", flag_name(option.key));
            for arguments in [&[flag.as_str(), "-5"][..], &[&format!("{flag}=-5")]] {
                assert_eq!(read(arguments).pairs(), [(option.key, "-5")]);
            }
        }
    }

    #[test]
    fn options_come_in_the_order_of_the_table() {
        let options = read(&["--quality=70", "--max-bytes", "9000", "--width", "20"]);
        let expected = [("width", "20"), ("quality", "70"), ("max_bytes", "9000")];
        assert_eq!(options.pairs(), expected);
        assert!(options.has("quality") && !options.has("format"));
    }

    #[test]
    fn the_help_tells_every_flag_and_its_values() {
        let help = command().term_width(1000).render_long_help().to_string();
        for option in OPTIONS {
            let usage = format!("--{} <{}>", flag_name(option.key), option.value_name);
            assert!(help.contains(&usage), "{usage} is not in:\n{help}");
        }
        assert!(help.contains("[values: fill (stretch), cover (crop), contain (pad), inside"));
        assert!(!help.contains('`'), "{help}");
    }

    #[test]
    fn a_wrong_value_is_told_by_its_flag() {
        let options = read(&["--width=20", "--max-bytes=0"]);
        let Usage(message) = wrong_flags(ResizeOptions::from_pairs(options.pairs()).unwrap_err());
        assert_eq!(message, "--max-bytes: 0 is too small: the least is 1");
    }
}
