//! Settings: flags before environment before `config.toml` before defaults.

use clap::{ArgMatches, Command, Parser};
use std::{fs, io, path::Path};

/// Where the optional file is looked for.
pub const FILE: &str = "config.toml";

/// The settings of all programs. They may share a file: each takes its own.
const ALL: [&str; 23] = [
    "bind",
    "chat_bind",
    "chat_data_dir",
    "chat_max_connections",
    "chat_metrics_bind",
    "cors_origins",
    "data",
    "database_url",
    "jwt_private_key_file",
    "jwt_public_key_file",
    "log_format",
    "log_retention_days",
    "message_retention_days",
    "metrics_bind",
    "notify_bind",
    "notify_max_connections",
    "notify_metrics_bind",
    "offer_demo",
    "proxies",
    "quota_bytes",
    "rate_limits",
    "redis_url",
    "web_dir",
];

/// Reads the command line, the environment and the file into `T`, or ends the
/// process with a message.
pub fn parse<T: Parser>() -> T {
    let command = match with_file(T::command(), Path::new(FILE)) {
        Ok(command) => command,
        Err(message) => T::command().error(clap::error::ErrorKind::InvalidValue, message).exit(),
    };
    let matches: ArgMatches = command.get_matches();
    T::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Turns the file's values into the defaults of the arguments of the same name,
/// so that flags and environment still come first.
fn with_file(mut command: Command, file: &Path) -> Result<Command, String> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(command),
        Err(error) => return Err(format!("{}: {error}", file.display())),
    };
    let table: toml::Table = text.parse().map_err(|error| format!("{}: {error}", file.display()))?;
    for (key, value) in table {
        let value = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(is_on) => is_on.to_string(),
            _ => return Err(format!("{}: `{key}` must be a text, a number or true or false", file.display())),
        };
        let mut known = false;
        set_default(&mut command, &key, &value, &mut known);
        if !known && !ALL.contains(&key.as_str()) {
            return Err(format!("{}: there is no setting `{key}`", file.display()));
        }
    }
    Ok(command)
}

fn set_default(command: &mut Command, key: &str, value: &str, known: &mut bool) {
    if command.get_arguments().any(|argument| argument.get_id() == key) {
        *known = true;
        let taken = std::mem::take(command);
        *command = taken.mut_arg(key, |argument| argument.required(false).default_value(value.to_owned()));
    }
    for subcommand in command.get_subcommands_mut() {
        set_default(subcommand, key, value, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::FromArgMatches;

    #[derive(Parser)]
    struct Settings {
        #[arg(long, default_value = "1.2.3.4:1")]
        bind: String,
        #[arg(long)]
        redis_url: Option<String>,
        #[arg(long)]
        database_url: String,
    }

    fn read(file: &str, flags: &[&str]) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        fs::write(&path, file).expect("written");
        let command = with_file(<Settings as clap::CommandFactory>::command(), &path)?;
        let matches = command.try_get_matches_from(flags).map_err(|error| error.to_string())?;
        Settings::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let file = "bind = \"0.0.0.0:2\"\nredis_url = \"redis://r\"\ndatabase_url = \"d\"\nnotify_bind = \"another's\"";
        assert_eq!(read("database_url = \"d\"", &["x"]).expect("settings").bind, "1.2.3.4:1");
        assert_eq!(read(file, &["x"]).expect("settings").bind, "0.0.0.0:2");
        assert_eq!(read(file, &["x", "--bind", "[::]:3"]).expect("settings").bind, "[::]:3");
        assert_eq!(read(file, &["x"]).expect("settings").redis_url.as_deref(), Some("redis://r"));
        assert_eq!(read(file, &["x"]).expect("settings").database_url, "d");
        assert!(read("", &["x"]).is_err(), "what is required is required");
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        assert!(read("bnid = \"x\"", &["x"]).err().expect("an error").contains("bnid"));
    }
}
