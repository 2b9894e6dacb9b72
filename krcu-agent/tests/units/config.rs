//! The configuration of the agent: its file, its options, and what a reload may change.

use std::path::Path;

use krcu_agent::agent::{
    config::{Config, ConfigError, Level},
    keys,
};
use toml::Table;

fn of(text: &str) -> Result<Config, ConfigError> {
    Config::of("agent.toml", text, &[])
}

fn set_to(key: &str, value: &str) -> Result<Config, ConfigError> {
    Config::of("agent.toml", "", &[(key.to_owned(), value.to_owned())])
}

#[test]
fn the_example_is_the_default_and_has_every_key() {
    assert_eq!(of(&keys::example()), Ok(Config::default()));
    let table: Table = keys::example().parse().unwrap();
    let names = table
        .iter()
        .flat_map(|(table, keys)| keys.as_table().unwrap().keys().map(move |key| format!("{table}.{key}")));
    assert_eq!(names.count(), keys::KEYS.len());
}

#[test]
fn a_key_of_the_table_is_a_field() {
    // A key that no field takes would be read and do nothing: each is given a value of the wrong kind.
    for key in keys::KEYS {
        let (table, name) = key.path.split_once('.').unwrap();
        let wrong = of(&format!("[{table}]\n{name} = {{ a = 1 }}\n"));
        assert!(matches!(wrong, Err(ConfigError::Wrong { .. })), "{}: {wrong:?}", key.path);
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest() {
    let cases = [
        ("[socket]\npth = \"/x\"\n", "there is no key `socket.pth`, did you mean `socket.path`?"),
        ("[sockets]\npath = \"/x\"\n", "there is no key `sockets`, did you mean `socket`?"),
        ("[log]\ndeadline = \"1s\"\n", "there is no key `log.deadline`, did you mean `stop.deadline`?"),
        ("[socket]\nzzzzzzzz = 1\n", "there is no key `socket.zzzzzzzz`"),
        ("\"socket.path\" = \"/x\"\n", "there is no key `\"socket.path\"`, did you mean `socket.path`?"),
        ("[\"socket.path\"]\n", "there is no key `\"socket.path\"`, did you mean `socket.path`?"),
        ("socket = \"/x\"\n", "`socket` is a table, [socket], and no key"),
        ("[[socket]]\npath = \"/x\"\n", "`socket` is a table, [socket], and no key"),
    ];
    for (text, expected) in cases {
        let said = of(text).unwrap_err().to_string();
        assert_eq!(said, format!("agent.toml: {expected}"));
    }
}

#[test]
fn what_is_wrong_is_told_in_a_line_with_its_place() {
    for (text, line, has) in [
        ("[socket]\n\nevery = \"4\"x\n", 3, ""),
        ("[socket]\nclients = \"many\"\n", 2, "invalid type"),
        ("[probes]\nring_bytes = \"3M\"\n", 2, "power of two"),
        ("[metrics]\nlisten = \"localhost\"\n", 2, "IP:PORT"),
    ] {
        let said = of(text).unwrap_err().to_string();
        assert!(said.starts_with(&format!("agent.toml, line {line}: ")), "{said}");
        assert!(said.contains(has) && said.lines().count() == 1, "{said}");
    }
    for (key, value) in [
        ("socket.every", "1ms"),
        ("stop.deadline", "10ms"),
        ("stop.deadline", "18446744073709551615s"),
        ("record.total_bytes", "127M"),
        ("record.keep_flagged", "513M"),
    ] {
        let said = set_to(key, value).unwrap_err().to_string();
        assert!(said.starts_with("the options: ") && said.contains(key), "{said}");
    }
    assert!(of("[socket]\nevery = \"1ms\"\n").unwrap_err().to_string().starts_with("agent.toml: "));
}

#[test]
fn options_override_the_file() {
    let options = [("socket.path", "/a b"), ("probes.stacks", "7"), ("log.level", "warn")];
    let options: Vec<_> = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let text = "[socket]\npath = \"/x\"\nclients = 3\n";
    let config = Config::of("agent.toml", text, &options).unwrap();
    assert_eq!((config.socket.path.as_path(), config.socket.clients), (Path::new("/a b"), 3));
    assert_eq!((config.probes.stacks, config.log.level), (7, Level::Warn));
    assert_eq!(set_to("metrics.listen", "").unwrap().metrics.listen, None);
    assert!(set_to("log.level", "loud").is_err());
}

#[test]
fn what_cannot_change_keeps_its_value_and_is_named() {
    for key in keys::KEYS {
        let other = match key.path {
            "probes.ring_bytes" => "32M",
            "log.level" => "debug",
            "metrics.listen" => "127.0.0.1:1",
            "socket.every" => "1s",
            "record.segment_time" => "2h",
            "record.sync" => "9s",
            "record.segment_bytes" => "128M",
            "record.total_bytes" => "2G",
            "record.keep_flagged" => "256M",
            "stop.deadline" => "3s",
            "probes.queue_stacks" => "false",
            _ if key.default == "false" => "true",
            _ if key.default.starts_with('"') => "/other",
            _ if key.default.starts_with('[') => "[\"other\"]",
            _ => "77",
        };
        let new = set_to(key.path, other).unwrap();
        let mut config = Config::default();
        let kept = config.reload(&new);
        let expected: &[&str] = if key.reload { &[] } else { &[key.path] };
        assert_eq!(kept, expected, "{}", key.path);
        assert_eq!(config == new, key.reload, "{}", key.path);
    }
}

#[test]
fn a_file_that_is_no_text_is_refused_with_its_line_and_one_without_end_by_its_size() {
    let path = std::env::temp_dir().join(format!("krcu-config-latin-{}", std::process::id()));
    std::fs::write(&path, b"[log]\nlevel = \"\xe9\"\n").unwrap();
    let error = Config::load(Some(&path), &[]).unwrap_err().to_string();
    assert!(error.ends_with(": line 2 is not UTF-8") && error.lines().count() == 1, "{error}");
    std::fs::remove_file(path).unwrap();
    let error = Config::load(Some(Path::new("/dev/zero")), &[]).unwrap_err().to_string();
    assert_eq!(error, "cannot read the configuration /dev/zero: it is larger than 1024 KiB");
}
