//! Reads settings. Flags override environment variables, which override
//! `config.toml`. A key of the file is the environment variable in lower case.

use crate::settings::AllSettings;
use clap::{Arg, ArgMatches, Command, CommandFactory, Parser};
use std::{collections::BTreeSet, fs, io, path::Path};

/// The configuration file, in the working directory. It is optional.
pub const CONFIG_FILE: &str = "config.toml";

/// Parses the command line, the environment and the file into `T`, or ends the
/// process with a message.
pub fn parse<T: Parser>() -> T {
    let command = apply_config_file(T::command(), Path::new(CONFIG_FILE));
    let command = command.and_then(|command| apply_secret_files(command, |name| std::env::var(name).ok()));
    let command = match command {
        Ok(command) => command,
        Err(message) => T::command().error(clap::error::ErrorKind::InvalidValue, message).exit(),
    };
    let matches: ArgMatches = command.get_matches();
    T::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// One row of the documentation of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingDoc {
    /// The environment variable. In lower case it is the key in `config.toml`.
    pub variable: String,
    /// The flag, as in `--bind`.
    pub flag: String,
    /// The default; empty if there is none.
    pub default: String,
    /// What the setting does.
    pub help: String,
}

/// All settings, by variable.
pub fn documentation() -> Vec<SettingDoc> {
    let command = AllSettings::command();
    let mut rows: Vec<SettingDoc> = command.get_arguments().filter_map(document).collect();
    rows.sort_by(|one, other| one.variable.cmp(&other.variable));
    rows
}

fn document(argument: &Arg) -> Option<SettingDoc> {
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    Some(SettingDoc {
        variable: variable(argument)?,
        flag: format!("--{}", argument.get_long()?),
        default: defaults.join(","),
        help: argument.get_help().map(ToString::to_string).unwrap_or_default(),
    })
}

/// Returns the variables that a command or one of its subcommands reads.
pub fn variables(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(variable);
    own.chain(command.get_subcommands().flat_map(variables)).collect()
}

fn variable(argument: &Arg) -> Option<String> {
    Some(argument.get_env()?.to_str()?.to_owned())
}

/// Makes the values of the file the defaults of their arguments, so that flags and
/// the environment override them. Ignores the keys of other programs.
fn apply_config_file(mut command: Command, file: &Path) -> Result<Command, String> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(command),
        Err(error) => return Err(format!("{}: {error}", file.display())),
    };
    let table: toml::Table = text.parse().map_err(|error| format!("{}: {error}", file.display()))?;
    let known = variables(&AllSettings::command());
    for (key, value) in table {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(is_on) => is_on.to_string(),
            _ => return Err(format!("{}: `{key}` must be a string, a number, true or false", file.display())),
        };
        let variable = key.to_ascii_uppercase();
        if key != key.to_ascii_lowercase() || !(known.contains(&variable) || variables(&command).contains(&variable)) {
            return Err(format!("{}: unknown setting `{key}`", file.display()));
        }
        set_default(&mut command, &variable, &value);
    }
    Ok(command)
}

/// Variables whose value may be in a file, which `<VARIABLE>_FILE` names: their values
/// contain passwords. Such a file takes precedence over `config.toml`.
const SECRETS: [&str; 2] = ["DATABASE_URL", "REDIS_URL"];

/// Makes the content of secret files the defaults of their arguments.
fn apply_secret_files(mut command: Command, variable: impl Fn(&str) -> Option<String>) -> Result<Command, String> {
    for name in SECRETS {
        let Some(file) = variable(&format!("{name}_FILE")) else { continue };
        if variable(name).is_some() {
            return Err(format!("{name} and {name}_FILE are both set; use one of them"));
        }
        let value = fs::read_to_string(&file).map_err(|error| format!("{name}_FILE: {file}: {error}"))?;
        set_default(&mut command, name, value.trim());
    }
    Ok(command)
}

fn set_default(command: &mut Command, name: &str, value: &str) {
    let ids: Vec<String> = command
        .get_arguments()
        .filter(|argument| variable(argument).as_deref() == Some(name))
        .map(|argument| argument.get_id().to_string())
        .collect();
    for id in ids {
        let taken = std::mem::take(command);
        *command = taken.mut_arg(id, |argument| argument.required(false).default_value(value.to_owned()));
    }
    for subcommand in command.get_subcommands_mut() {
        set_default(subcommand, name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{ChatBind, DatabaseSettings, DemoSettings, RedisSettings};
    use clap::FromArgMatches;

    #[derive(Parser)]
    struct Settings {
        #[command(flatten)]
        bind: ChatBind,
        #[command(flatten)]
        redis: RedisSettings,
        #[command(flatten)]
        database: DatabaseSettings,
        #[command(flatten)]
        demo: DemoSettings,
    }

    fn read(file: &str, flags: &[&str]) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join(CONFIG_FILE);
        fs::write(&path, file).expect("written");
        let command = apply_config_file(Settings::command(), &path)?;
        let flags = ["x"].iter().chain(flags);
        let matches = command.try_get_matches_from(flags).map_err(|error| error.to_string())?;
        clap::FromArgMatches::from_arg_matches(&matches).map_err(|error: clap::Error| error.to_string())
    }

    fn bind(settings: Result<Settings, String>) -> String {
        settings.expect("settings").bind.chat_bind.to_string()
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = "chat_bind = \"0.0.0.0:2\"\nredis_url = \"redis://r\"\ndatabase_url = \"d\"\ndemo_mode = true\n";
        assert_eq!(bind(read("database_url = \"d\"", &[])), "127.0.0.1:6688");
        assert_eq!(bind(read(file, &[])), "0.0.0.0:2");
        assert_eq!(bind(read(file, &["--bind", "[::]:3"])), "[::]:3");
        assert_eq!(bind(read(file, &["--chat-bind", "[::]:4"])), "[::]:4");
        let settings = read(file, &[]).expect("settings");
        assert_eq!(settings.redis.redis_url.as_deref(), Some("redis://r"));
        assert_eq!(settings.database.database_url, "d");
        assert!(settings.demo.demo_mode);
        assert!(read("", &[]).is_err(), "a required setting is required");
    }

    #[test]
    fn a_secret_can_be_in_a_file() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("url");
        fs::write(&file, "postgres://secret\n").expect("written");
        let read = |variables: &[(&str, &str)]| {
            let variables: Vec<(String, String)> =
                variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            let variable =
                |name: &str| variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
            let command = apply_secret_files(Settings::command(), variable)?;
            let matches = command.try_get_matches_from(["x"]).map_err(|error| error.to_string())?;
            Settings::from_arg_matches(&matches).map_err(|error| error.to_string())
        };
        let file = file.to_str().expect("text");
        assert_eq!(read(&[("DATABASE_URL_FILE", file)]).expect("settings").database.database_url, "postgres://secret");
        assert!(read(&[("DATABASE_URL_FILE", file), ("DATABASE_URL", "x")]).is_err(), "two sources");
        assert!(read(&[("DATABASE_URL_FILE", "/nowhere")]).err().expect("an error").contains("/nowhere"));
    }

    #[test]
    fn the_key_of_another_program_is_accepted_and_a_misspelt_one_is_not() {
        assert!(read("database_url = \"d\"\nnotify_max_connections = 5\nmax_connections = 6", &[]).is_ok());
        for bad in ["bnid = \"x\"", "bind = \"0.0.0.0:2\"", "CHAT_BIND = \"0.0.0.0:2\""] {
            let file = format!("database_url = \"d\"\n{bad}");
            assert!(read(&file, &[]).err().expect("an error").contains("unknown setting"), "{bad}");
        }
    }
}
