//! Manual: manual pages and completions, from the definition of the command line and the table of the keys.

use std::io::{self, Write as _};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::{
    Man as Page,
    roff::{Roff, bold, roman},
};

use crate::{agent::config, agent::keys, cli::Cli};

/// Prints a manual page, for `man -l -`.
#[derive(Args, Clone, Debug)]
pub struct Man {
    /// The verb whose page is printed; without it, krcu's own page. `agent.toml` is the page of the
    /// configuration
    #[arg(value_name = "VERB")]
    pub verb: Option<String>,
}

/// Prints a shell's completions for krcu's command line.
#[derive(Args, Clone, Debug)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Verbs that are separate programs.
const BESIDE: [&str; 2] = ["tui", "analyze"];
/// The name of the page of the configuration.
const CONFIG: &str = "agent.toml";

/// Runs `man`.
///
/// # Errors
/// When there is no such verb, or the page cannot be written.
pub fn man(options: &Man) -> anyhow::Result<u8> {
    let page = page(options.verb.as_deref())?;
    io::stdout().lock().write_all(&page).context("cannot write the page")?;
    Ok(0)
}

/// The page of a verb, of krcu itself, or of the configuration.
///
/// # Errors
/// When there is no such verb.
pub fn page(verb: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let mut page = Vec::new();
    let mut krcu = Cli::command();
    krcu.build();
    match verb {
        None => Page::new(krcu).render(&mut page)?,
        Some(CONFIG) => config_page().to_writer(&mut page)?,
        Some(verb) => {
            let command = krcu.find_subcommand(verb).with_context(|| {
                let verbs: Vec<&str> = krcu.get_subcommands().map(clap::Command::get_name).collect();
                format!("there is no verb `{verb}`: there are {} and {CONFIG}", verbs.join(", "))
            })?;
            let name: &'static str = Box::leak(format!("krcu-{verb}").into_boxed_str());
            Page::new(command.clone().name(name)).render(&mut page)?;
        }
    }
    Ok(page)
}

fn config_page() -> Roff {
    let mut roff = Roff::new();
    roff.control("TH", ["krcu-agent.toml", "5", "", concat!("krcu ", env!("CARGO_PKG_VERSION"))]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("krcu-agent.toml - the configuration of krcu agent")]);
    roff.control("SH", ["DESCRIPTION"]);
    let mut text = format!("The agent reads {}, or the file named by --config. ", config::PATH);
    text += "Options override the file. The agent refuses unknown keys; krcu agent --check-config says what \
        is wrong.";
    roff.text([roman(text)]);
    let mut table = "";
    for key in keys::KEYS {
        let (in_table, name) = key.path.split_once('.').unwrap_or(("", key.path));
        if in_table != table {
            roff.control("SH", [format!("[{in_table}]").as_str()]);
            table = in_table;
        }
        roff.control("TP", []);
        roff.text([bold(name), roman(format!(" = {}", key.default))]);
        let reload = if key.reload { " Takes effect on SIGHUP." } else { "" };
        roff.text([roman(format!("{}{reload}", key.doc))]);
    }
    roff
}

/// Runs `completions`.
///
/// # Errors
/// When they cannot be written.
pub fn completions(options: &Completions) -> anyhow::Result<u8> {
    io::stdout().lock().write_all(&script(options.shell)).context("cannot write the completions")?;
    Ok(0)
}

/// The completions of a shell. The options of another program come from that program's own completions. If it
/// has none, the shell offers files.
fn script(shell: Shell) -> Vec<u8> {
    let mut krcu = Cli::command();
    for verb in BESIDE {
        krcu = krcu.mut_subcommand(verb, |command| {
            let about = command.get_about().cloned().unwrap_or_default();
            clap::Command::new(verb).about(about).disable_help_flag(true)
        });
    }
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut krcu, "krcu", &mut text);
    match shell {
        Shell::Bash => text.extend_from_slice(BASH_BESIDE.as_bytes()),
        Shell::Fish => text.extend_from_slice(FISH_BESIDE.as_bytes()),
        Shell::Zsh => {
            let mut own = String::from_utf8_lossy(&text).into_owned();
            for verb in BESIDE {
                own = own.replace(&zsh_arm(verb, ZSH_NOTHING), &zsh_arm(verb, ZSH_BESIDE));
            }
            text = own.into_bytes();
        }
        _ => {}
    }
    text
}

/// Hands the rest of the line to the completion function of the verb's program. The file of that function
/// lies beside this one.
const BASH_BESIDE: &str = r#"
_krcu_or_beside() {
    local program="krcu-${COMP_WORDS[1]}"
    case "${COMP_WORDS[1]}" in
        tui|analyze)
            if ((COMP_CWORD > 1)); then
                complete -p "$program" &>/dev/null || source "${BASH_SOURCE[0]%/*}/$program" 2>/dev/null
                [[ $(complete -p "$program" 2>/dev/null) =~ \ -F\ ([^ ]+) ]] || return 0
                COMP_WORDS=("$program" "${COMP_WORDS[@]:2}")
                COMP_CWORD=$((COMP_CWORD - 1))
                "${BASH_REMATCH[1]}" "$program" "$2" "$3"
                return
            fi
            ;;
    esac
    _krcu "$@"
}
complete -F _krcu_or_beside -o bashdefault -o default krcu
"#;
/// The same for the shell fish.
const FISH_BESIDE: &str = r#"
function __fish_krcu_beside
    set -l words (commandline -opc) (commandline -ct)
    complete -C "krcu-$words[2] $words[3..]"
end
for verb in tui analyze
    complete -c krcu -n "__fish_krcu_using_subcommand $verb" -f -a "(__fish_krcu_beside)"
end
"#;
/// What clap writes for zsh about a verb without options, and what replaces it.
const ZSH_NOTHING: &str = "_arguments \"${_arguments_options[@]}\" : \\\n&& ret=0\n";
const ZSH_BESIDE: &str = "words[1]=krcu-$words[1]\n\
    if (( $+functions[_$words[1]] )); then _$words[1] && ret=0; else _files && ret=0; fi\n";

fn zsh_arm(verb: &str, does: &str) -> String {
    format!("({verb})\n{does};;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(verb: Option<&str>) -> String {
        String::from_utf8(page(verb).unwrap()).unwrap()
    }

    #[test]
    fn every_verb_has_a_page_with_its_options() {
        for verb in Cli::command().get_subcommands() {
            let page = text(Some(verb.get_name()));
            for option in verb.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(page.contains(&option.replace('-', "\\-")), "{}: --{option}", verb.get_name());
            }
        }
        assert!(text(None).contains("krcu"));
        assert!(page(Some("nothing")).is_err());
    }

    #[test]
    fn programs_beside_krcu_are_offered_as_its_own_verbs_are() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = String::from_utf8(script(shell)).unwrap();
            for verb in ["check", "tui", "analyze"] {
                let is_offered = |line: &str| match shell {
                    Shell::Bash => line.trim_start().starts_with("opts=") && line.contains(verb),
                    Shell::Zsh => line.starts_with(&format!("'{verb}:")),
                    _ => line.starts_with("complete -c krcu") && line.contains(&format!("-a \"{verb}\"")),
                };
                assert!(text.lines().any(is_offered), "{shell}: {verb}");
            }
            let handed_on = match shell {
                Shell::Zsh => BESIDE.map(|verb| zsh_arm(verb, ZSH_BESIDE)).to_vec(),
                Shell::Bash => vec![BASH_BESIDE.to_owned()],
                _ => vec![FISH_BESIDE.to_owned()],
            };
            assert!(handed_on.iter().all(|part| text.contains(part)), "{shell}");
            assert!(!text.contains("ARGUMENT"), "{shell} would offer a word that is a placeholder");
        }
        assert!(text(None).contains("krcu\\-tui(1)") && text(None).contains("krcu\\-analyze(1)"));
    }

    #[test]
    fn the_page_of_the_configuration_has_every_key() {
        let page = text(Some(CONFIG));
        for key in keys::KEYS {
            let name = key.path.split_once('.').unwrap().1;
            assert!(page.contains(&format!("\\fB{name}\\fR")), "{}", key.path);
        }
    }
}
